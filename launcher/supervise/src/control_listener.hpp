#pragma once

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"

namespace mpitrain {

// Where the agents of an attempt connect to. Loop-only; `on_socket` is not called after close().
class ControlListener {
  public:
    using Socket = boost::asio::generic::stream_protocol::socket;
    using OnSocket = std::function<void(Socket)>;

    explicit ControlListener(boost::asio::io_context& loop)
        : local_(loop), tcp_(loop), retry_(loop) {}

    // Each gives the address as mpitrain-rank takes it. Errors: those of bind(2) and listen(2).
    Result<std::string> listen_local(const std::string& path, int backlog);
    // On a port of the system's choice, at `addresses` alone where there is one, else at all of
    // this machine's.
    Result<std::string> listen_network(const std::vector<std::string>& addresses, int backlog);

    void start(OnSocket on_socket);
    void close();

  private:
    template <typename Acceptor>
    void accept(Acceptor& acceptor);

    OnSocket on_socket_;
    boost::asio::local::stream_protocol::acceptor local_;
    boost::asio::ip::tcp::acceptor tcp_;
    boost::asio::steady_timer retry_;
};

}  // namespace mpitrain
