#include "mpitrain/sealed/sealed_stream.hpp"

#include <sodium.h>

#include <algorithm>
#include <cstring>

namespace mpitrain::sealed {
namespace {

constexpr std::string_view magic = "MPITRAIN";
constexpr std::size_t tag_bytes = crypto_aead_chacha20poly1305_ietf_ABYTES;
using Nonce = std::array<unsigned char, crypto_aead_chacha20poly1305_ietf_NPUBBYTES>;

static_assert(sizeof(Key) == crypto_aead_chacha20poly1305_ietf_KEYBYTES);
static_assert(sizeof(Key) == crypto_auth_hmacsha256_BYTES);

const unsigned char* octets(const char* text) {
    return reinterpret_cast<const unsigned char*>(text);
}

void append_u32(std::string& to, std::uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) {
        to.push_back(static_cast<char>((value >> static_cast<unsigned>(shift)) & 0xffU));
    }
}

std::uint32_t read_u32(const char* from) {
    std::uint32_t value = 0;
    for (unsigned i = 0; i < 4; ++i) {
        value |= std::uint32_t{octets(from)[i]} << (8 * i);
    }
    return value;
}

Nonce nonce_of(std::uint64_t frame) {
    Nonce nonce{};
    for (unsigned i = 0; i < 8; ++i) {
        nonce[i] = static_cast<unsigned char>((frame >> (8 * i)) & 0xffU);
    }
    return nonce;
}

Error not_ours() {
    return Error(ErrorCode::data_loss, "the peer does not speak mpitrain's protocol");
}

}  // namespace

Key random_key() {
    Key key;
    randombytes_buf(key.data(), key.size());
    return key;
}

std::string to_text(const Key& key) {
    std::array<char, 2 * sizeof(Key) + 1> text{};
    sodium_bin2hex(text.data(), text.size(), key.data(), key.size());
    return text.data();
}

Result<Key> key_from_text(std::string_view text) {
    Key key{};
    std::size_t count = 0;
    const bool read =
        text.size() == 2 * key.size() &&
        sodium_hex2bin(
            key.data(), key.size(), text.data(), text.size(), nullptr, &count, nullptr) == 0;
    if (!read || count != key.size()) {
        return Error(ErrorCode::invalid_argument, "a key has 64 hexadecimal digits");
    }
    return key;
}

SealedStream::SealedStream(const Key& job_key, Side side)
    : job_key_(job_key), side_(side), own_(random_key()) {}

SealedStream::~SealedStream() {
    sodium_memzero(job_key_.data(), job_key_.size());
    sodium_memzero(sending_.key.data(), sending_.key.size());
    sodium_memzero(receiving_.key.data(), receiving_.key.size());
}

std::string SealedStream::greeting() const {
    std::string text(magic);
    append_u32(text, version);
    text.append(reinterpret_cast<const char*>(own_.data()), own_.size());
    return text;
}

Key SealedStream::derive(const char* label, const Key& agent, const Key& supervisor) const {
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, job_key_.data(), job_key_.size());
    crypto_auth_hmacsha256_update(&state, octets(label), std::strlen(label));
    crypto_auth_hmacsha256_update(&state, agent.data(), agent.size());
    crypto_auth_hmacsha256_update(&state, supervisor.data(), supervisor.size());
    Key key;
    crypto_auth_hmacsha256_final(&state, key.data());
    sodium_memzero(&state, sizeof state);
    return key;
}

Result<void> SealedStream::read_greeting() {
    // A stranger is told apart by its first byte: it may never send a greeting's length.
    const std::string_view begin = std::string_view(waiting_).substr(0, magic.size());
    if (begin != magic.substr(0, begin.size())) {
        return not_ours();
    }
    if (waiting_.size() < greeting_bytes) {
        return {};
    }
    if (const std::uint32_t other = read_u32(waiting_.data() + magic.size()); other != version) {
        return Error(ErrorCode::unsupported, "the peer speaks another version of the protocol")
            .mend("install the same version of mpitrain on all machines");
    }
    Key peer{};
    std::copy_n(octets(waiting_.data()) + magic.size() + 4, peer.size(), peer.data());
    if (peer == own_) {
        return not_ours();  // our own words, sent back
    }
    waiting_.erase(0, greeting_bytes);
    const bool is_agent = side_ == Side::agent;
    const Key& agent = is_agent ? own_ : peer;
    const Key& supervisor = is_agent ? peer : own_;
    const Key upward = derive("mpitrain agent to supervisor", agent, supervisor);
    const Key downward = derive("mpitrain supervisor to agent", agent, supervisor);
    sending_.key = is_agent ? upward : downward;
    receiving_.key = is_agent ? downward : upward;
    greeted_ = true;
    return {};
}

std::optional<bool> SealedStream::open_frame(std::string& plain) {
    if (waiting_.size() < 4) {
        return std::nullopt;
    }
    const std::size_t length = read_u32(waiting_.data());
    if (length < tag_bytes || length > frame_bytes_max + tag_bytes) {
        return false;
    }
    if (waiting_.size() < 4 + length) {
        return std::nullopt;
    }
    const Nonce nonce = nonce_of(receiving_.frames);
    std::string opened(length - tag_bytes, '\0');
    unsigned long long count = 0;
    if (crypto_aead_chacha20poly1305_ietf_decrypt(reinterpret_cast<unsigned char*>(opened.data()),
                                                  &count,
                                                  nullptr,
                                                  octets(waiting_.data()) + 4,
                                                  length,
                                                  octets(waiting_.data()),
                                                  4,
                                                  nonce.data(),
                                                  receiving_.key.data()) != 0) {
        return false;
    }
    ++receiving_.frames;
    plain += opened;
    waiting_.erase(0, 4 + length);
    return true;
}

Result<void> SealedStream::receive(std::string_view bytes, std::string& plain) {
    waiting_.append(bytes);
    if (!greeted_) {
        MPITRAIN_TRY_VOID(read_greeting());
    }
    while (greeted_) {
        const std::optional<bool> opened = open_frame(plain);
        if (!opened) {
            break;
        }
        if (!*opened) {
            return Error(ErrorCode::data_loss, "the peer does not hold this job's key");
        }
    }
    return {};
}

std::string SealedStream::seal(std::string_view plain) {
    std::string sealed;
    do {
        const std::string_view piece = plain.substr(0, frame_bytes_max);
        plain.remove_prefix(piece.size());
        const std::size_t at = sealed.size();
        const auto length = static_cast<std::uint32_t>(piece.size() + tag_bytes);
        append_u32(sealed, length);
        sealed.resize(at + 4 + length);
        const Nonce nonce = nonce_of(sending_.frames++);
        unsigned long long count = 0;
        crypto_aead_chacha20poly1305_ietf_encrypt(
            reinterpret_cast<unsigned char*>(sealed.data()) + at + 4,
            &count,
            octets(piece.data()),
            piece.size(),
            octets(sealed.data()) + at,
            4,
            nullptr,
            nonce.data(),
            sending_.key.data());
    } while (!plain.empty());
    return sealed;
}

}  // namespace mpitrain::sealed
