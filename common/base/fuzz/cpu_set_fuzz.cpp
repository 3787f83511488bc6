#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "mpitrain/base/cpu_set.hpp"

// Whatever is read must be written so that it reads the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto cpus = mpitrain::CpuSet::parse(text);
    if (cpus) {
        const auto again = mpitrain::CpuSet::parse(cpus->to_string());
        if (!again || *again != *cpus) {
            std::abort();
        }
    }
    return 0;
}
