#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "mpitrain/model/hostfile.hpp"

// The same hosts, one a line in the plainest dialect, must be read as the same hosts.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto hosts = mpitrain::parse_hostfile(text, "f");
    if (hosts && hosts->size() <= 1000) {
        std::string plain;
        for (const mpitrain::HostEntry& entry : *hosts) {
            plain += entry.user.empty() ? "" : entry.user + "@";
            plain += entry.host;
            plain += entry.slots ? " slots=" + std::to_string(*entry.slots) : "";
            // Repeated lines add up the slots, not the limits, so a sum may be above its limit.
            plain += entry.max_slots && entry.slots.value_or(1) <= *entry.max_slots
                         ? " max_slots=" + std::to_string(*entry.max_slots)
                         : "";
            plain += '\n';
        }
        const auto again = mpitrain::parse_hostfile(plain, "f");
        if (!again || again->size() != hosts->size() ||
            again->front().slots != hosts->front().slots) {
            std::abort();
        }
    }
    static_cast<void>(mpitrain::parse_host_option(text));
    return 0;
}
