#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "mpitrain/base/assert.hpp"
#include "mpitrain/wire/message.hpp"

// Whatever arrives, the decoder neither crashes nor over-reads, and what it accepts encodes back to
// the same bytes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace mpitrain::wire;
    const std::string input(data, data + size);
    Decoder decoder;
    std::string accepted;
    for (std::size_t at = 0; at < size;) {
        const std::size_t piece = std::min<std::size_t>(size - at, 1 + data[at] % 7U);
        decoder.append(input.data() + at, piece);
        at += piece;
        for (;;) {
            const auto message = decoder.next();
            if (!message) {
                return 0;
            }
            if (!message->has_value()) {
                break;
            }
            accepted += encode(**message);
            MPITRAIN_ASSERT(input.starts_with(accepted));
        }
    }
    return 0;
}
