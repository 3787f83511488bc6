#pragma once

#include <memory>
#include <optional>
#include <string>

#include "mpitrain/base/result.hpp"
#include "mpitrain/sealed/sealed_stream.hpp"
#include "mpitrain/wire/message.hpp"
#include "posix.hpp"

namespace mpitrain::rank {

// Where the supervisor listens, and the key that both hold where others could be listening.
struct ControlAddress {
    std::string text;  // "unix:PATH", or "tcp:ADDRESS[,ADDRESS]…:PORT", IPv6 in brackets
    std::optional<sealed::Key> key;
};

// The stream socket to the supervisor: a Unix socket, where the kernel tells each side who the
// other is, or a sealed TCP connection. Never waits after it is open. Loop-only.
class Connection {
  public:
    // Of several addresses, takes the first that answers. Errors: invalid_argument; unavailable or
    // data_loss (whoever is there is not our supervisor), after at most 5 s.
    static Result<Connection> open(const ControlAddress& address);

    [[nodiscard]] int fd() const { return socket_.get(); }
    [[nodiscard]] bool lost() const { return !socket_; }
    [[nodiscard]] std::size_t unsent() const { return unsent_.size() - sent_; }
    [[nodiscard]] bool crosses_network() const { return sealed_ != nullptr; }
    // When anything was last heard.
    [[nodiscard]] TimePoint heard() const { return heard_; }

    // Queues the message and sends what the socket takes. No-op when the connection is lost.
    void send(const wire::Message& message);
    void flush();
    // Sends what is queued, waiting for the socket until `deadline`.
    void flush_until(TimePoint deadline);
    // Reads what has come. A malformed message loses the connection.
    void receive();
    // The next message that has come, or nullopt.
    std::optional<wire::Message> next();
    void lose() { socket_.reset(); }

  private:
    Result<void> greet(TimePoint deadline);

    UniqueFd socket_;
    std::unique_ptr<sealed::SealedStream> sealed_;
    TimePoint heard_ = Clock::now();
    wire::Decoder decoder_;
    std::string unsent_;
    std::size_t sent_ = 0;
};

}  // namespace mpitrain::rank
