#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "mpitrain/sim/trace.hpp"

// Any text is a trace or an error; what is taken is sorted, and within its bounds.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes as characters
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const auto& trace :
         {mpitrain::sim::read_csv_trace(text, "t"), mpitrain::sim::read_swf_trace(text, "t")}) {
        if (!trace) {
            continue;
        }
        mpitrain::Nanoseconds last{};
        for (const auto& job : trace->jobs) {
            if (job.gpus < 1 || job.duration.count() < 0 || job.submitted < last) {
                std::abort();
            }
            last = job.submitted;
        }
    }
    return 0;
}
