#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mpitrain/base/result.hpp"

// A byte stream between two programs that share a key, over a connection that anybody may open,
// read or alter. Neither side sends the key; neither acts on a byte that did not come from a holder
// of it, unaltered and in order.
//
//   both ways first   "MPITRAIN", uint32 version, 32 random bytes
//   then each way     frames: uint32 length, so many bytes of ciphertext with its tag
//
// Each way has a key of its own, HMAC-SHA256 of the job's key over both sides' random bytes, so
// nothing recorded can be played back, to either side. Frames are ChaCha20-Poly1305 (IETF) with
// their number as nonce. Integers are little-endian.
namespace mpitrain::sealed {

using Key = std::array<unsigned char, 32>;

// From the kernel's random numbers.
Key random_key();
// 64 hexadecimal digits, and back. Errors: invalid_argument.
std::string to_text(const Key& key);
Result<Key> key_from_text(std::string_view text);

enum class Side : std::uint8_t { agent, supervisor };

// One end of one connection. Not thread-safe.
class SealedStream {
  public:
    static constexpr std::uint32_t version = 1;
    static constexpr std::size_t greeting_bytes = 8 + 4 + 32;
    // Of plain bytes; longer texts travel as several frames.
    static constexpr std::size_t frame_bytes_max = 64U << 10U;

    // Takes its random bytes from the kernel.
    SealedStream(const Key& job_key, Side side);
    ~SealedStream();  // forgets the keys
    SealedStream(const SealedStream&) = delete;
    SealedStream& operator=(const SealedStream&) = delete;

    // What must be sent before anything else.
    [[nodiscard]] std::string greeting() const;
    // Takes bytes as they came and appends to `plain` what they hold. Errors: data_loss (another
    // protocol, another key, altered bytes), unsupported (another version): the connection must be
    // dropped, and `plain` holds nothing of what failed.
    Result<void> receive(std::string_view bytes, std::string& plain);
    // Whether the peer's greeting has come. Before, nothing can be sealed.
    [[nodiscard]] bool greeted() const { return greeted_; }
    // What to send for these plain bytes. Costs some 3 ns a byte.
    [[nodiscard]] std::string seal(std::string_view plain);

  private:
    struct Direction {
        Key key{};
        std::uint64_t frames = 0;
    };
    Result<void> read_greeting();
    [[nodiscard]] Key derive(const char* label, const Key& agent, const Key& supervisor) const;
    // nullopt: more bytes are needed. False: it was not sealed by a holder of the key.
    std::optional<bool> open_frame(std::string& plain);

    Key job_key_;
    Side side_;
    Key own_{};  // random bytes
    Direction sending_;
    Direction receiving_;
    std::string waiting_;
    bool greeted_ = false;
};

}  // namespace mpitrain::sealed
