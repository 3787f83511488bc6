#include "connection.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <array>
#include <cstring>

namespace mpitrain::rank {
namespace {

constexpr timeval connect_limit = {5, 0};

}  // namespace

Result<Connection> Connection::open(const std::string& address) {
    constexpr std::string_view scheme = "unix:";
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    const std::string path = address.starts_with(scheme) ? address.substr(scheme.size()) : "";
    if (path.empty() || path.size() >= sizeof name.sun_path) {
        return Error(ErrorCode::invalid_argument, "not a control address: '" + address + "'")
            .mend("use unix:PATH with a path of at most 107 bytes");
    }
    path.copy(name.sun_path, path.size());
    Connection connection;
    connection.socket_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int fd = connection.socket_.get();
    // The send timeout also bounds connect(2), which waits while the listener's queue is full.
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &connect_limit, sizeof connect_limit);
    const auto* const generic = reinterpret_cast<const sockaddr*>(&name);
    if (retry([&] { return ::connect(fd, generic, sizeof name); }) != 0) {
        return system_error(errno, "connect to the supervisor", path);
    }
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    return connection;
}

void Connection::send(const wire::Message& message) {
    if (lost()) {
        return;
    }
    unsent_ += wire::encode(message);
    flush();
}

void Connection::flush() {
    while (!lost() && unsent() > 0) {
        const ssize_t count = retry(
            [&] { return ::send(socket_.get(), unsent_.data() + sent_, unsent(), MSG_NOSIGNAL); });
        if (count < 0) {
            if (errno != EAGAIN) {
                lose();
            }
            break;
        }
        sent_ += static_cast<std::size_t>(count);
    }
    if (unsent() == 0 || lost()) {
        unsent_.clear();
        sent_ = 0;
    }
}

void Connection::flush_until(TimePoint deadline) {
    flush();
    while (!lost() && unsent() > 0 && Clock::now() < deadline) {
        pollfd ready{socket_.get(), POLLOUT, 0};
        ::poll(&ready, 1, poll_timeout(deadline));
        flush();
    }
}

void Connection::receive() {
    if (lost()) {
        return;
    }
    std::array<char, 16U << 10U> bytes;
    const ssize_t count =
        retry([&] { return ::recv(socket_.get(), bytes.data(), bytes.size(), 0); });
    if (count > 0) {
        decoder_.append(bytes.data(), static_cast<std::size_t>(count));
    } else if (count == 0 || errno != EAGAIN) {
        lose();
    }
}

std::optional<wire::Message> Connection::next() {
    auto message = decoder_.next();
    if (!message) {
        lose();
        return std::nullopt;
    }
    return *std::move(message);
}

}  // namespace mpitrain::rank
