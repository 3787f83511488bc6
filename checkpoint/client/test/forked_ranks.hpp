#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mpitrain/checkpoint/peers.hpp"

// Ranks that are processes of one test: a job that starts and is killed in milliseconds, which
// MPI's is not. What they tell each other goes over sockets, all by way of rank 0.
namespace mpitrain::checkpoint::test {

// One end of a stream of messages, each behind its length.
class Channel {
  public:
    explicit Channel(int fd) : fd_(fd) {}

    Result<void> send(const std::string& text) const {
        const auto length = static_cast<std::uint32_t>(text.size());
        std::string frame(sizeof length, '\0');
        std::memcpy(frame.data(), &length, sizeof length);
        frame += text;
        for (std::size_t at = 0; at < frame.size();) {
            const ssize_t put = ::send(fd_, frame.data() + at, frame.size() - at, MSG_NOSIGNAL);
            if (put <= 0) {
                return Error(ErrorCode::unavailable, "a rank is gone");
            }
            at += static_cast<std::size_t>(put);
        }
        return {};
    }

    // The next message, if all of it is there.
    Result<std::optional<std::string>> receive() {
        std::array<char, 65536> part{};
        for (;;) {
            const ssize_t got = ::recv(fd_, part.data(), part.size(), MSG_DONTWAIT);
            if (got > 0) {
                in_.append(part.data(), static_cast<std::size_t>(got));
                continue;
            }
            if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
                return Error(ErrorCode::unavailable, "a rank is gone");
            }
            break;
        }
        std::uint32_t length = 0;
        if (in_.size() < sizeof length) {
            return std::optional<std::string>();
        }
        std::memcpy(&length, in_.data(), sizeof length);
        if (in_.size() < sizeof length + length) {
            return std::optional<std::string>();
        }
        std::string text = in_.substr(sizeof length, length);
        in_.erase(0, sizeof length + length);
        return std::optional(std::move(text));
    }

  private:
    int fd_;
    std::string in_;
};

// Rank 0 in the middle, with a channel to each other rank; the others with one to it.
class Star {
  public:
    Star(int rank, int size, const std::vector<int>& fds) : rank_(rank), size_(size) {
        for (const int fd : fds) {
            channels_.emplace_back(fd);
        }
        words_.resize(channels_.size());
    }

    Result<void> begin(std::string mine) {
        mine_ = std::move(mine);
        return rank_ == 0 ? Result<void>() : channels_[0].send(mine_);
    }

    Result<std::optional<std::vector<std::string>>> poll() {
        if (rank_ != 0) {
            MPITRAIN_TRY(const auto all, channels_[0].receive());
            return all ? std::optional(unpack(*all)) : std::nullopt;
        }
        std::string packed;
        pack(packed, mine_);
        for (std::size_t i = 0; i < channels_.size(); ++i) {
            if (!words_[i]) {
                MPITRAIN_TRY(words_[i], channels_[i].receive());
            }
            if (!words_[i]) {
                return std::optional<std::vector<std::string>>();
            }
            pack(packed, *words_[i]);
        }
        for (std::size_t i = 0; i < channels_.size(); ++i) {
            MPITRAIN_TRY_VOID(channels_[i].send(packed));
            words_[i].reset();
        }
        return std::optional(unpack(packed));
    }

  private:
    static void pack(std::string& packed, const std::string& word) {
        const auto length = static_cast<std::uint32_t>(word.size());
        packed.append(reinterpret_cast<const char*>(&length), sizeof length);
        packed += word;
    }
    [[nodiscard]] std::vector<std::string> unpack(const std::string& packed) const {
        std::vector<std::string> words;
        for (std::size_t at = 0; words.size() < static_cast<std::size_t>(size_);) {
            std::uint32_t length = 0;
            std::memcpy(&length, packed.data() + at, sizeof length);
            words.push_back(packed.substr(at + sizeof length, length));
            at += sizeof length + length;
        }
        return words;
    }

    int rank_;
    int size_;
    std::vector<Channel> channels_;
    std::string mine_;
    std::vector<std::optional<std::string>> words_;
};

class ForkedPeer final : public Peers {
  public:
    ForkedPeer(int rank, int size, const std::vector<int>& fds, const std::vector<int>& behind)
        : rank_(rank), size_(size), star_(rank, size, fds), behind_(rank, size, behind) {}
    [[nodiscard]] int rank() const override { return rank_; }
    [[nodiscard]] int size() const override { return size_; }
    Result<std::vector<std::string>> exchange(std::string mine,
                                              std::chrono::milliseconds deadline) override {
        MPITRAIN_TRY_VOID(star_.begin(std::move(mine)));
        const auto until = std::chrono::steady_clock::now() + deadline;
        while (std::chrono::steady_clock::now() < until) {
            MPITRAIN_TRY(auto all, star_.poll());
            if (all) {
                return *std::move(all);
            }
            ::usleep(50);
        }
        return Error(ErrorCode::deadline_exceeded, "a rank does not come");
    }
    Result<void> begin(std::string mine) override { return behind_.begin(std::move(mine)); }
    // By way of rank 0 too, so all ranks must swap alike, as those of equal nodes and shards do.
    Result<void> swap(int to,
                      std::span<const std::byte> out,
                      int from,
                      std::span<std::byte> in,
                      std::chrono::milliseconds deadline) override {
        std::string mine(reinterpret_cast<const char*>(out.data()), to < 0 ? 0 : out.size());
        MPITRAIN_TRY(const auto all, exchange(std::move(mine), deadline));
        if (from >= 0) {
            const std::string& got = all[static_cast<std::size_t>(from)];
            if (got.size() != in.size()) {
                return Error(ErrorCode::internal, "another length was sent");
            }
            std::memcpy(in.data(), got.data(), got.size());
        }
        return {};
    }
    Result<std::optional<std::vector<std::string>>> poll() override { return behind_.poll(); }

  private:
    int rank_;
    int size_;
    Star star_;
    Star behind_;
};

// The sockets of `size` ranks, made before they are forked: [rank][channel].
inline std::vector<std::vector<int>> make_star(int size) {
    std::vector<std::vector<int>> ends(static_cast<std::size_t>(size));
    for (std::size_t rank = 1; rank < ends.size(); ++rank) {
        std::array<int, 2> pair{};
        if (::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()) == 0) {
            ends[0].push_back(pair[0]);
            ends[rank].push_back(pair[1]);
        }
    }
    return ends;
}

// Closes all of a star's sockets but those of one rank; of -1: all.
inline void close_others(const std::vector<std::vector<int>>& star, int rank) {
    for (std::size_t other = 0; other < star.size(); ++other) {
        if (static_cast<int>(other) != rank) {
            for (const int fd : star[other]) {
                ::close(fd);
            }
        }
    }
}

}  // namespace mpitrain::checkpoint::test
