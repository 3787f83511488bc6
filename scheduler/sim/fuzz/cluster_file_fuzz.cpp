#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "mpitrain/sim/cluster_file.hpp"

// Any text is a valid cluster or an error.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes as characters
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto cluster = mpitrain::sim::read_cluster(text, "c", {});
    if (cluster && !mpitrain::scheduler::validate(*cluster)) {
        std::abort();
    }
    return 0;
}
