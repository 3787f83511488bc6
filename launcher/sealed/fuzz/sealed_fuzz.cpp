#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "mpitrain/base/assert.hpp"
#include "mpitrain/sealed/sealed_stream.hpp"

// Whatever a stranger sends, before a greeting or after one, not a byte of it is heard.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace mpitrain::sealed;
    const std::string input(data, data + size);
    const Key key{};
    SealedStream stream(key, Side::supervisor);
    std::string plain;
    if (size > 0 && data[0] % 2 == 1) {
        MPITRAIN_ASSERT(stream.receive(SealedStream(key, Side::agent).greeting(), plain));
    }
    for (std::size_t at = 0; at < size;) {
        const std::size_t piece = std::min<std::size_t>(size - at, 1 + data[at] % 7U);
        if (!stream.receive(input.substr(at, piece), plain)) {
            break;
        }
        at += piece;
    }
    MPITRAIN_ASSERT(plain.empty());
    return 0;
}
