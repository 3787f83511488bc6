#include "communicators.hpp"

#include <map>
#include <mutex>
#include <numeric>
#include <vector>

#include "real_mpi.hpp"

// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): MPI's functions, found once
namespace mpitrain::recorder {

namespace {

int forget(MPI_Comm /*comm*/, int /*key*/, void* known, void* /*extra*/) {
    delete static_cast<KnownCommunicator*>(known);
    return MPI_SUCCESS;
}

// A duplicate is a group of its own: nothing is copied.
int do_not_copy(
    MPI_Comm /*comm*/, int /*key*/, void* /*extra*/, void* /*in*/, void* /*out*/, int* copied) {
    *copied = 0;
    return MPI_SUCCESS;
}

int attribute_key() {
    static const int key = [] {
        int made = MPI_KEYVAL_INVALID;
        MPITRAIN_REAL(MPI_Comm_create_keyval)(&do_not_copy, &forget, &made, nullptr);
        return made;
    }();
    return key;
}

// Open MPI's MPI_COMM_WORLD is the address of an object of the library.
MPI_Comm world() {
#ifdef OPEN_MPI
    static void* const found = find_real("ompi_mpi_comm_world");
    return reinterpret_cast<MPI_Comm>(found);
#else
    return MPI_COMM_WORLD;
#endif
}

std::vector<int> world_ranks(MPI_Comm comm) {
    MPI_Group group{};
    MPI_Group everyone{};
    int size = 0;
    if (MPITRAIN_REAL(MPI_Comm_group)(comm, &group) != MPI_SUCCESS ||
        MPITRAIN_REAL(MPI_Comm_group)(world(), &everyone) != MPI_SUCCESS ||
        MPITRAIN_REAL(MPI_Group_size)(group, &size) != MPI_SUCCESS || size <= 0) {
        return {};
    }
    std::vector<int> own(static_cast<std::size_t>(size));
    std::vector<int> ranks(own.size());
    std::iota(own.begin(), own.end(), 0);
    MPITRAIN_REAL(MPI_Group_translate_ranks)(group, size, own.data(), everyone, ranks.data());
    MPITRAIN_REAL(MPI_Group_free)(&group);
    MPITRAIN_REAL(MPI_Group_free)(&everyone);
    return ranks;
}

std::uint64_t mixed(std::uint64_t hash, std::uint64_t value) {  // FNV-1a, a word at a time
    return (hash ^ value) * 0x100000001b3U;
}

KnownCommunicator* learn(MPI_Comm comm) {
    const std::vector<int> ranks = world_ranks(comm);
    if (ranks.empty()) {
        return nullptr;
    }
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (const int rank : ranks) {
        hash = mixed(hash, static_cast<std::uint64_t>(rank) + 1);
    }
    static std::mutex mutex;
    static std::map<std::uint64_t, std::uint64_t> seen;  // communicators of these ranks
    const std::lock_guard lock(mutex);
    return new KnownCommunicator{.group = mixed(hash, ++seen[hash]),
                                 .ranks = static_cast<std::uint32_t>(ranks.size()),
                                 .number = 0};
}

bool mpi_runs() {
    if (find_real("PMPI_Initialized") == nullptr || world() == nullptr) {
        return false;
    }
    int begun = 0;
    int ended = 0;
    MPITRAIN_REAL(MPI_Initialized)(&begun);
    MPITRAIN_REAL(MPI_Finalized)(&ended);
    return begun != 0 && ended == 0;
}

}  // namespace

KnownCommunicator* find_communicator(MPI_Comm comm) {
    static const bool runs = mpi_runs();  // first asked at the first collective
    if (!runs) {
        return nullptr;
    }
    void* known = nullptr;
    int found = 0;
    if (MPITRAIN_REAL(MPI_Comm_get_attr)(comm, attribute_key(), &known, &found) != MPI_SUCCESS) {
        return nullptr;
    }
    if (found == 0) {
        known = learn(comm);
        if (known != nullptr) {
            MPITRAIN_REAL(MPI_Comm_set_attr)(comm, attribute_key(), known);
        }
    }
    return static_cast<KnownCommunicator*>(known);
}

}  // namespace mpitrain::recorder
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)
