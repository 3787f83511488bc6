#include "control_listener.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace mpitrain {

namespace asio = boost::asio;

namespace {

constexpr auto retry_period = std::chrono::milliseconds(100);

template <typename Acceptor, typename Endpoint>
boost::system::error_code open(Acceptor& acceptor, const Endpoint& endpoint, int backlog) {
    boost::system::error_code error;
    acceptor.open(endpoint.protocol(), error);
    if (!error) {
        acceptor.bind(endpoint, error);
    }
    if (!error) {
        acceptor.listen(backlog, error);
    }
    return error;
}

}  // namespace

Result<std::string> ControlListener::listen_local(const std::string& path, int backlog) {
    const asio::local::stream_protocol::endpoint endpoint(path);
    if (const auto error = open(local_, endpoint, backlog)) {
        return system_error(error.value(), "listen for the rank agents", path);
    }
    return "unix:" + path;
}

Result<std::string> ControlListener::listen_network(const std::vector<std::string>& addresses,
                                                    int backlog) {
    std::vector<std::string> texts;
    bool six = false;
    asio::ip::address only;
    for (const std::string& text : addresses) {
        boost::system::error_code error;
        only = asio::ip::make_address(text, error);
        if (error) {
            return Error(ErrorCode::invalid_argument, "not an address").at(text);
        }
        six = six || only.is_v6();
        texts.push_back(only.is_v6() ? fmt::format("[{}]", text) : text);
    }
    asio::ip::tcp::endpoint endpoint(only, 0);
    if (addresses.size() != 1) {
        endpoint = {six ? asio::ip::tcp::v6() : asio::ip::tcp::v4(), 0};
    }
    if (const auto error = open(tcp_, endpoint, backlog)) {
        return system_error(error.value(), "listen for the rank agents", texts.front());
    }
    boost::system::error_code ignored;
    return fmt::format("tcp:{}:{}", fmt::join(texts, ","), tcp_.local_endpoint(ignored).port());
}

template <typename Acceptor>
void ControlListener::accept(Acceptor& acceptor) {
    using Accepted = typename Acceptor::protocol_type::socket;
    acceptor.async_accept([this, &acceptor](boost::system::error_code error, Accepted socket) {
        if (error == asio::error::operation_aborted || !acceptor.is_open()) {
            return;
        }
        if (!error) {
            on_socket_(Socket(std::move(socket)));
            accept(acceptor);
            return;
        }
        // Out of descriptors, say, because of strangers, who are soon shown the door.
        retry_.expires_after(retry_period);
        retry_.async_wait([this, &acceptor](boost::system::error_code cancelled) {
            if (!cancelled) {
                accept(acceptor);
            }
        });
    });
}

void ControlListener::start(OnSocket on_socket) {
    on_socket_ = std::move(on_socket);
    if (local_.is_open()) {
        accept(local_);
    }
    if (tcp_.is_open()) {
        accept(tcp_);
    }
}

void ControlListener::close() {
    boost::system::error_code ignored;
    local_.close(ignored);
    tcp_.close(ignored);
    retry_.cancel();
}

}  // namespace mpitrain
