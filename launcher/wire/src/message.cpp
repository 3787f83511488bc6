#include "mpitrain/wire/message.hpp"

#include <array>
#include <bit>
#include <concepts>
#include <limits>
#include <type_traits>
#include <utility>

#include "message_fields.hpp"
#include "mpitrain/base/assert.hpp"

namespace mpitrain::wire {
namespace {

constexpr std::size_t length_bytes = sizeof(std::uint32_t);
constexpr std::size_t header_bytes = length_bytes + 1;  // and the type

class Writer {
  public:
    explicit Writer(std::string& to) : to_(to) {}

    template <std::integral T>
    void put(T value) {
        auto bits = static_cast<std::make_unsigned_t<T>>(value);
        for (std::size_t i = 0; i < sizeof(T); ++i) {
            to_.push_back(static_cast<char>(bits & 0xffU));
            bits = static_cast<std::make_unsigned_t<T>>(static_cast<std::uint64_t>(bits) >> 8U);
        }
    }
    void put(bool value) { put(static_cast<std::uint8_t>(value ? 1 : 0)); }
    void put(double value) { put(std::bit_cast<std::uint64_t>(value)); }
    void put(const Text& text) {
        put_count(text.size());
        to_.append(text);
    }
    template <typename T>
    void put(const std::vector<T>& list) {
        put_count(list.size());
        for (const T& element : list) {
            put(element);
        }
    }
    template <typename T>
    void put(const std::optional<T>& value) {
        put(value.has_value());
        if (value) {
            put(*value);
        }
    }
    template <typename T>
    requires std::is_enum_v<T>
    void put(T value) { put(static_cast<std::underlying_type_t<T>>(value)); }
    template <typename T>
    requires(!std::is_same_v<decltype(fields<T>), const std::nullptr_t>) void put(
        const T& message) {
        std::apply([&](auto... member) { (put(message.*member), ...); }, fields<T>);
    }

  private:
    void put_count(std::size_t count) {
        MPITRAIN_ASSERT(count <= frame_bytes_max);
        put(static_cast<std::uint32_t>(count));
    }
    std::string& to_;
};

// Every get() says whether the bytes were there and valid; after a false, the target is
// unspecified.
class Reader {
  public:
    explicit Reader(std::string_view bytes) : rest_(bytes) {}
    [[nodiscard]] bool at_end() const { return rest_.empty(); }

    template <std::integral T>
    bool get(T& value) {
        if (rest_.size() < sizeof(T)) {
            return false;
        }
        std::uint64_t bits = 0;
        for (std::size_t i = sizeof(T); i-- > 0;) {
            bits = (bits << 8U) | static_cast<unsigned char>(rest_[i]);
        }
        rest_.remove_prefix(sizeof(T));
        value = static_cast<T>(bits);
        return true;
    }
    bool get(bool& value) {
        std::uint8_t byte = 0;
        const bool valid = get(byte) && byte <= 1;
        value = byte == 1;
        return valid;
    }
    bool get(double& value) {
        std::uint64_t bits = 0;
        const bool valid = get(bits);
        value = std::bit_cast<double>(bits);
        return valid;
    }
    bool get(Text& text) {
        std::uint32_t count = 0;
        if (!get(count) || count > rest_.size()) {
            return false;
        }
        text.assign(rest_.substr(0, count));
        rest_.remove_prefix(count);
        return true;
    }
    template <typename T>
    bool get(std::vector<T>& list) {
        std::uint32_t count = 0;
        if (!get(count) || count > rest_.size()) {  // an element takes a byte at least
            return false;
        }
        list.clear();
        for (std::uint32_t i = 0; i < count; ++i) {
            if (!get(list.emplace_back())) {
                return false;
            }
        }
        return true;
    }
    template <typename T>
    bool get(std::optional<T>& value) {
        bool present = false;
        if (!get(present)) {
            return false;
        }
        value.reset();
        return !present || get(value.emplace());
    }
    template <typename T>
    requires std::is_enum_v<T>
    bool get(T& value) {
        std::underlying_type_t<T> number = 0;
        const bool valid =
            get(number) && number <= static_cast<std::underlying_type_t<T>>(last_enumerator<T>);
        value = valid ? static_cast<T>(number) : T{};
        return valid;
    }
    template <typename T>
    requires(!std::is_same_v<decltype(fields<T>), const std::nullptr_t>) bool get(T& message) {
        return std::apply([&](auto... member) { return (get(message.*member) && ...); }, fields<T>);
    }

  private:
    std::string_view rest_;
};

using DecodeBody = bool (*)(std::string_view body, Message& message);

template <std::size_t type>
bool decode_body(std::string_view body, Message& message) {
    Reader reader(body);
    return reader.get(message.emplace<type>()) && reader.at_end();
}

template <std::size_t... types>
constexpr auto make_decoders(std::index_sequence<types...>) {
    return std::array<DecodeBody, sizeof...(types)>{&decode_body<types>...};
}

constexpr auto decoders = make_decoders(std::make_index_sequence<std::variant_size_v<Message>>());

}  // namespace

std::string encode(const Message& message) {
    std::string frame(length_bytes, '\0');
    frame.push_back(static_cast<char>(message.index()));
    Writer writer(frame);
    std::visit([&](const auto& body) { writer.put(body); }, message);
    const std::size_t body_bytes = frame.size() - header_bytes;
    MPITRAIN_ASSERT(body_bytes <= frame_bytes_max);
    std::string length;
    Writer(length).put(static_cast<std::uint32_t>(body_bytes));
    frame.replace(0, length_bytes, length);
    return frame;
}

void Decoder::append(const char* bytes, std::size_t count) {
    if (consumed_ > 0 && consumed_ >= buffer_.size() / 2) {  // amortised: a byte moves at most once
        buffer_.erase(0, consumed_);
        consumed_ = 0;
    }
    buffer_.append(bytes, count);
}

Result<std::optional<Message>> Decoder::next() {
    const std::string_view unread = std::string_view(buffer_).substr(consumed_);
    if (unread.size() < header_bytes) {
        return std::optional<Message>();
    }
    std::uint32_t body_bytes = 0;
    std::uint8_t type = 0;
    Reader header(unread.substr(0, header_bytes));
    header.get(body_bytes);
    header.get(type);
    if (type >= decoders.size()) {
        return Error(ErrorCode::data_loss, "unknown message type " + std::to_string(type));
    }
    if (body_bytes > frame_bytes_max) {
        return Error(ErrorCode::data_loss,
                     "message of " + std::to_string(body_bytes) + " bytes is over the limit");
    }
    if (unread.size() - header_bytes < body_bytes) {
        return std::optional<Message>();
    }
    std::optional<Message> message(std::in_place);
    if (!decoders[type](unread.substr(header_bytes, body_bytes), *message)) {
        return Error(ErrorCode::data_loss, "malformed message of type " + std::to_string(type));
    }
    consumed_ += header_bytes + body_bytes;
    return message;
}

}  // namespace mpitrain::wire
