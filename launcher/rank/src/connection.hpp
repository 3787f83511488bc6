#pragma once

#include <string>

#include "mpitrain/base/result.hpp"
#include "mpitrain/wire/message.hpp"
#include "posix.hpp"

namespace mpitrain::rank {

// The stream socket to the supervisor. Never waits after it is open. Loop-only.
class Connection {
  public:
    // `address` is "unix:PATH". Errors: invalid_argument; unavailable, after at most 5 s.
    static Result<Connection> open(const std::string& address);

    [[nodiscard]] int fd() const { return socket_.get(); }
    [[nodiscard]] bool lost() const { return !socket_; }
    [[nodiscard]] std::size_t unsent() const { return unsent_.size() - sent_; }

    // Queues the message and sends what the socket takes. No-op when the connection is lost.
    void send(const wire::Message& message);
    void flush();
    // Sends what is queued, waiting for the socket until `deadline`.
    void flush_until(TimePoint deadline);
    // Reads what has come. A malformed message loses the connection.
    void receive();
    // The next message that has come, or nullopt.
    std::optional<wire::Message> next();

  private:
    void lose() { socket_.reset(); }

    UniqueFd socket_;
    wire::Decoder decoder_;
    std::string unsent_;
    std::size_t sent_ = 0;
};

}  // namespace mpitrain::rank
