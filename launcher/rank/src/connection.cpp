#include "connection.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "mpitrain/base/number.hpp"

namespace mpitrain::rank {
namespace {

constexpr auto connect_limit = std::chrono::seconds(5);

struct SocketName {
    sockaddr_storage bytes{};
    socklen_t size = 0;
};

Error not_an_address(const std::string& text) {
    return Error(ErrorCode::invalid_argument, "not a control address: '" + text + "'")
        .mend("use unix:PATH with a path of at most 107 bytes, or tcp:ADDRESS:PORT");
}

Result<SocketName> unix_name(const std::string& text) {
    constexpr std::string_view scheme = "unix:";
    const std::string path = text.substr(scheme.size());
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof name.sun_path) {
        return not_an_address(text);
    }
    path.copy(name.sun_path, path.size());
    SocketName generic;
    std::memcpy(&generic.bytes, &name, sizeof name);
    generic.size = sizeof name;
    return generic;
}

std::optional<SocketName> internet_name(std::string host, std::uint16_t port) {
    SocketName generic;
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
        sockaddr_in6 name{};
        name.sin6_family = AF_INET6;
        name.sin6_port = htons(port);
        host = host.substr(1, host.size() - 2);
        if (::inet_pton(AF_INET6, host.c_str(), &name.sin6_addr) != 1) {
            return std::nullopt;
        }
        std::memcpy(&generic.bytes, &name, sizeof name);
        generic.size = sizeof name;
        return generic;
    }
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(port);
    if (::inet_pton(AF_INET, host.c_str(), &name.sin_addr) != 1) {
        return std::nullopt;
    }
    std::memcpy(&generic.bytes, &name, sizeof name);
    generic.size = sizeof name;
    return generic;
}

// "tcp:ADDRESS[,ADDRESS]…:PORT"
Result<std::vector<SocketName>> internet_names(const std::string& text) {
    constexpr std::string_view scheme = "tcp:";
    const std::size_t colon = text.rfind(':');
    const auto port = parse_integer(text.substr(colon + 1), 1, 65535);
    std::vector<SocketName> names;
    std::size_t at = scheme.size();
    while (port && at < colon) {
        const std::size_t end = std::min(text.find(',', at), colon);
        const auto name =
            internet_name(text.substr(at, end - at), static_cast<std::uint16_t>(*port));
        if (!name) {
            return not_an_address(text);
        }
        names.push_back(*name);
        at = end + 1;
    }
    if (names.empty()) {
        return not_an_address(text);
    }
    return names;
}

Result<UniqueFd> connect_to(const SocketName& name, TimePoint deadline, const std::string& text) {
    UniqueFd socket(::socket(name.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto left =
        std::chrono::duration_cast<std::chrono::microseconds>(deadline - Clock::now());
    const std::int64_t micros = std::max<std::int64_t>(left.count(), 1000);
    // The send timeout also bounds connect(2), which waits while the listener's queue is full.
    const timeval limit = {micros / 1'000'000, micros % 1'000'000};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    const auto* const generic = reinterpret_cast<const sockaddr*>(&name.bytes);
    if (retry([&] { return ::connect(socket.get(), generic, name.size); }) != 0) {
        return system_error(errno, "connect to the supervisor", text);
    }
    ::fcntl(socket.get(), F_SETFL, O_NONBLOCK);
    return socket;
}

}  // namespace

Result<Connection> Connection::open(const ControlAddress& address) {
    const TimePoint deadline = Clock::now() + connect_limit;
    Connection connection;
    if (!address.text.starts_with("tcp:")) {
        if (!address.text.starts_with("unix:")) {
            return not_an_address(address.text);
        }
        MPITRAIN_TRY(const SocketName name, unix_name(address.text));
        MPITRAIN_TRY(connection.socket_, connect_to(name, deadline, address.text.substr(5)));
        return connection;
    }
    if (!address.key) {
        return Error(ErrorCode::invalid_argument, "no key for " + address.text)
            .mend("let mpitrain start this program");
    }
    MPITRAIN_TRY(const std::vector<SocketName> names, internet_names(address.text));
    Result<UniqueFd> socket = Error(ErrorCode::unavailable, "no address");
    for (std::size_t i = 0; i < names.size() && !socket; ++i) {
        const auto share = (deadline - Clock::now()) / static_cast<int>(names.size() - i);
        socket = connect_to(names[i], Clock::now() + share, address.text);
    }
    MPITRAIN_TRY(connection.socket_, std::move(socket));
    const int on = 1;
    ::setsockopt(connection.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connection.sealed_ = std::make_unique<sealed::SealedStream>(*address.key, sealed::Side::agent);
    MPITRAIN_TRY_VOID(connection.greet(deadline));
    return connection;
}

Result<void> Connection::greet(TimePoint deadline) {
    unsent_ = sealed_->greeting();
    flush_until(deadline);
    while (!lost() && !sealed_->greeted() && Clock::now() < deadline) {
        pollfd ready{fd(), POLLIN, 0};
        ::poll(&ready, 1, poll_timeout(deadline));
        receive();
    }
    if (lost() || !sealed_->greeted()) {
        return Error(ErrorCode::unavailable, "whoever listens there is not this job's supervisor");
    }
    return {};
}

void Connection::send(const wire::Message& message) {
    if (lost()) {
        return;
    }
    const std::string bytes = wire::encode(message);
    unsent_ += sealed_ ? sealed_->seal(bytes) : bytes;
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
    if (count == 0 || (count < 0 && errno != EAGAIN)) {
        lose();
    }
    if (count <= 0) {
        return;
    }
    heard_ = Clock::now();
    const std::string_view came(bytes.data(), static_cast<std::size_t>(count));
    if (!sealed_) {
        decoder_.append(came.data(), came.size());
        return;
    }
    std::string plain;
    if (!sealed_->receive(came, plain)) {
        lose();
        return;
    }
    decoder_.append(plain.data(), plain.size());
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
