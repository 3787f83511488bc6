#include <mpi.h>
#include <sys/statfs.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>

#include "cases.hpp"
#include "mpitrain/base/number.hpp"
#include "team.hpp"

// mpitrain-bench-checkpoint --directory D --bytes N --rounds R --out FILE [--tensors 1,300,10000]
// [--device cuda]:
// one rank of `mpitrain bench checkpoint`. Rank 0 writes the samples to FILE as JSON.
namespace mpitrain::checkpoint::bench {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
    Settings settings;
    std::string out;
};

Result<std::vector<std::size_t>> read_counts(const std::string& text) {
    std::vector<std::size_t> counts;
    for (std::size_t at = 0; at <= text.size();) {
        const std::size_t end = std::min(text.find(',', at), text.size());
        MPITRAIN_TRY(const auto count, parse_integer(text.substr(at, end - at), 1, 1'000'000));
        counts.push_back(static_cast<std::size_t>(count));
        at = end + 1;
    }
    // What is loaded by other numbers of ranks is the single tensor.
    if (std::find(counts.begin(), counts.end(), 1U) == counts.end()) {
        counts.push_back(1);
    }
    return counts;
}

Result<Arguments> read_arguments(std::span<char* const> words) {
    Arguments arguments;
    for (std::size_t i = 0; i + 1 < words.size(); i += 2) {
        const std::string option = words[i];
        const std::string value = words[i + 1];
        if (option == "--directory") {
            arguments.settings.directory = value;
        } else if (option == "--out") {
            arguments.out = value;
        } else if (option == "--bytes") {
            MPITRAIN_TRY(const auto bytes, parse_integer(value, 1 << 20, std::int64_t{1} << 46));
            arguments.settings.total_bytes = static_cast<std::uint64_t>(bytes);
        } else if (option == "--rounds") {
            MPITRAIN_TRY(const auto rounds, parse_integer(value, 1, 10'000));
            arguments.settings.rounds = static_cast<int>(rounds);
        } else if (option == "--device") {
            arguments.settings.on_device = value == "cuda";
        } else if (option == "--tensors") {
            MPITRAIN_TRY(arguments.settings.tensor_counts, read_counts(value));
        } else {
            return Error(ErrorCode::invalid_argument, "unknown option").at(option);
        }
    }
    if (arguments.out.empty() || arguments.settings.directory.empty() ||
        arguments.settings.total_bytes == 0) {
        return Error(ErrorCode::invalid_argument, "--directory, --bytes and --out are needed")
            .mend("run mpitrain bench checkpoint");
    }
    return arguments;
}

Json to_json(const Samples& samples, const Arguments& arguments, int ranks) {
    Json json = {{"ranks", ranks}, {"total_bytes", arguments.settings.total_bytes}};
    utsname system{};
    if (uname(&system) == 0) {
        json["kernel"] = system.release;
    }
    struct statfs place {};
    if (statfs(arguments.settings.directory.c_str(), &place) == 0) {
        char type[20] = "";
        std::snprintf(type, sizeof type, "0x%lx", static_cast<unsigned long>(place.f_type));
        json["file_system"] = type;
    }
    json["samples"] = Json::array();
    for (const auto& [name, sample] : samples) {
        json["samples"].push_back({{"name", name.first},
                                   {"tensors", name.second},
                                   {"bytes", sample.bytes},
                                   {"seconds", sample.seconds}});
    }
    return json;
}

Result<void> run(std::span<char* const> words) {
    MPITRAIN_TRY(const Arguments arguments, read_arguments(words));
    const Team team(MPI_COMM_WORLD);
    MPITRAIN_TRY(const Samples samples, measure(team, arguments.settings));
    if (team.rank() == 0) {
        std::ofstream file(arguments.out);
        file << to_json(samples, arguments, team.size()).dump(1) << "\n";
        if (!file.flush()) {
            return Error(ErrorCode::io, "cannot write the samples").at(arguments.out);
        }
    }
    return {};
}

}  // namespace
}  // namespace mpitrain::checkpoint::bench

// Leaves without MPI_Abort on a failure: several ranks that call it at once hang in Open MPI 4.1.
int main(int argc, char** argv) {
    if (MPI_Init(&argc, &argv) != MPI_SUCCESS) {
        return 125;
    }
    try {
        const std::span<char* const> words(argv + 1, static_cast<std::size_t>(argc - 1));
        const auto done = mpitrain::checkpoint::bench::run(words);
        if (!done) {
            std::fprintf(stderr, "mpitrain-bench-checkpoint: %s\n", done.error().text().c_str());
            std::_Exit(1);
        }
    } catch (const std::exception& defect) {  // out of memory, or a defect
        std::fprintf(stderr, "mpitrain-bench-checkpoint: %s\n", defect.what());
        std::_Exit(125);
    }
    return MPI_Finalize() == MPI_SUCCESS ? 0 : 1;
}
