#include "algorithms.hpp"

#include <array>
#include <cstdlib>

namespace mpitrain::collectives::bench {

namespace {

// A setting of the MPI library that may be written while it runs.
class Setting {
  public:
    explicit Setting(const std::string& name) {
        int index = 0;
        int count = 0;
        if (MPI_T_cvar_get_index(name.c_str(), &index) != MPI_SUCCESS) {
            return;
        }
        int unused = 0;
        MPI_Datatype type = MPI_DATATYPE_NULL;
        if (MPI_T_cvar_get_info(index,
                                nullptr,
                                &unused,
                                &unused,
                                &type,
                                &values_,
                                nullptr,
                                &unused,
                                &unused,
                                &unused) == MPI_SUCCESS) {
            found_ = MPI_T_cvar_handle_alloc(index, nullptr, &setting_, &count) == MPI_SUCCESS;
        }
    }
    // How often find_algorithms() may try; 0 where there is no such setting.
    [[nodiscard]] int choices() const {
        int count = 0;
        if (!found_ || values_ == MPI_T_ENUM_NULL) {
            return 0;
        }
        std::array<char, 64> name{};
        int length = static_cast<int>(name.size());
        return MPI_T_enum_get_info(values_, &count, name.data(), &length) == MPI_SUCCESS ? count
                                                                                         : 0;
    }
    [[nodiscard]] std::string name_of(int choice, int& value) const {
        std::array<char, 64> name{};
        int length = static_cast<int>(name.size());
        return MPI_T_enum_get_item(values_, choice, &value, name.data(), &length) == MPI_SUCCESS
                   ? std::string(name.data())
                   : std::string();
    }
    [[nodiscard]] bool write(int value) const {
        return MPI_T_cvar_write(setting_, &value) == MPI_SUCCESS;
    }

  private:
    MPI_T_cvar_handle setting_ = MPI_T_CVAR_HANDLE_NULL;
    MPI_T_enum values_ = MPI_T_ENUM_NULL;
    bool found_ = false;
};

std::string setting_name(Verb verb) {
    constexpr const char* names[] = {
        "allreduce", "reduce", "bcast", "reduce_scatter_block", "allgather", "alltoall"};
    return std::string("coll_tuned_") + names[static_cast<std::size_t>(verb)] + "_algorithm";
}

MPI_Comm duplicate() {
    MPI_Comm comm = MPI_COMM_NULL;
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    return comm;
}

}  // namespace

void allow_choice() {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): called by main() before there are threads
    setenv("OMPI_MCA_coll_tuned_use_dynamic_rules", "1", 0);
}

std::vector<Algorithm> find_algorithms(Verb verb) {
    std::vector<Algorithm> all{{"default", duplicate()}};
    int provided = 0;
    if (MPI_T_init_thread(MPI_THREAD_SINGLE, &provided) != MPI_SUCCESS) {
        return all;
    }
    const Setting setting(setting_name(verb));
    for (int choice = 0; choice < setting.choices(); ++choice) {
        int value = 0;
        const std::string name = setting.name_of(choice, value);
        // 0 is "ignore": the library chooses. A communicator keeps what was set when it was made.
        if (value != 0 && !name.empty() && setting.write(value)) {
            all.push_back({name, duplicate()});
        }
    }
    if (setting.choices() > 0) {
        static_cast<void>(setting.write(0));
    }
    return all;
}

}  // namespace mpitrain::collectives::bench
