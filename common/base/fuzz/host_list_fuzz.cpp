#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "mpitrain/base/host_list.hpp"

// Whatever expands must fold back to the same names.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto hosts = mpitrain::expand_host_list(text, 1000);
    if (hosts) {
        const auto again = mpitrain::expand_host_list(mpitrain::fold_host_list(*hosts), 1000);
        if (!again || *again != *hosts) {
            std::abort();
        }
    }
    return 0;
}
