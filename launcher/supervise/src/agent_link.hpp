#pragma once

#include <array>
#include <boost/asio/generic/stream_protocol.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "mpitrain/sealed/sealed_stream.hpp"
#include "mpitrain/wire/message.hpp"

namespace mpitrain {

// One connection to a rank agent: frames in, frames out; sealed where it crosses a network, so that
// only a holder of the job's key is ever heard. Loop-only. Lives as long as a callback may
// come; after `closed` ran, or close() was called, none does.
class AgentLink : public std::enable_shared_from_this<AgentLink> {
  public:
    using Socket = boost::asio::generic::stream_protocol::socket;
    using OnMessage = std::function<void(AgentLink&, wire::Message)>;
    using OnClosed = std::function<void(AgentLink&)>;

    // With a key: sealed by it.
    AgentLink(Socket socket, const sealed::Key* key);
    void start(OnMessage on_message, OnClosed on_closed);
    void send(const wire::Message& message);  // a no-op once closed
    void close();
    [[nodiscard]] bool is_open() const { return open_; }
    [[nodiscard]] bool is_sealed() const { return sealed_ != nullptr; }
    // The peer's process as the kernel knows it. -1 if it cannot be told.
    [[nodiscard]] int peer_uid() const;

  private:
    void read_some();
    bool take(std::string_view bytes);  // false when the peer cannot be understood
    void queue(std::string bytes);
    void write_front();
    void lost();

    Socket socket_;
    std::unique_ptr<sealed::SealedStream> sealed_;
    wire::Decoder decoder_;
    std::array<char, std::size_t{64} * 1024> buffer_{};
    std::deque<std::string> outgoing_;
    OnMessage on_message_;
    OnClosed on_closed_;
    bool open_ = true;
};

}  // namespace mpitrain
