#include "held_port.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace mpitrain::rank {
namespace {

template <typename Address>
std::uint16_t bind_any_port(const UniqueFd& socket, Address address) {
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (!socket || ::bind(socket.get(), generic, size) != 0 ||
        ::getsockname(socket.get(), generic, &size) != 0) {
        return 0;
    }
    if constexpr (std::is_same_v<Address, sockaddr_in6>) {
        return ntohs(address.sin6_port);
    } else {
        return ntohs(address.sin_port);
    }
}

UniqueFd reusable_socket(int family) {
    UniqueFd socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return socket;
}

}  // namespace

HeldPort HeldPort::hold() {
    HeldPort port;
    port.socket_ = reusable_socket(AF_INET6);
    const int off = 0;
    ::setsockopt(port.socket_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    sockaddr_in6 any6{};
    any6.sin6_family = AF_INET6;
    port.number_ = bind_any_port(port.socket_, any6);
    if (port.number_ == 0) {  // a machine without IPv6
        port.socket_ = reusable_socket(AF_INET);
        sockaddr_in any4{};
        any4.sin_family = AF_INET;
        port.number_ = bind_any_port(port.socket_, any4);
    }
    return port;
}

}  // namespace mpitrain::rank
