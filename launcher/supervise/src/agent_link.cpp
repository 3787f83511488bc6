#include "agent_link.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>

namespace mpitrain {

namespace asio = boost::asio;

AgentLink::AgentLink(Socket socket, const sealed::Key* key) : socket_(std::move(socket)) {
    if (key != nullptr) {
        sealed_ = std::make_unique<sealed::SealedStream>(*key, sealed::Side::supervisor);
        // Pings and stops must not wait for more to say.
        const int on = 1;
        ::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
}

void AgentLink::start(OnMessage on_message, OnClosed on_closed) {
    on_message_ = std::move(on_message);
    on_closed_ = std::move(on_closed);
    if (sealed_) {
        queue(sealed_->greeting());
    }
    read_some();
}

void AgentLink::read_some() {
    socket_.async_read_some(
        asio::buffer(buffer_),
        [self = shared_from_this()](boost::system::error_code error, std::size_t count) {
            if (!self->open_) {
                return;
            }
            if (error) {
                self->lost();
                return;
            }
            if (!self->take({self->buffer_.data(), count})) {
                self->lost();
                return;
            }
            while (self->open_) {
                auto message = self->decoder_.next();
                if (!message) {
                    self->lost();
                    return;
                }
                if (!message->has_value()) {
                    break;
                }
                self->on_message_(*self, std::move(**message));
            }
            if (self->open_) {
                self->read_some();
            }
        });
}

bool AgentLink::take(std::string_view bytes) {
    if (!sealed_) {
        decoder_.append(bytes.data(), bytes.size());
        return true;
    }
    std::string plain;
    if (!sealed_->receive(bytes, plain)) {
        return false;
    }
    decoder_.append(plain.data(), plain.size());
    return true;
}

void AgentLink::send(const wire::Message& message) {
    if (open_ && (!sealed_ || sealed_->greeted())) {
        const std::string bytes = wire::encode(message);
        queue(sealed_ ? sealed_->seal(bytes) : bytes);
    }
}

void AgentLink::queue(std::string bytes) {
    outgoing_.push_back(std::move(bytes));
    if (outgoing_.size() == 1) {
        write_front();
    }
}

void AgentLink::write_front() {
    asio::async_write(socket_,
                      asio::buffer(outgoing_.front()),
                      [self = shared_from_this()](boost::system::error_code error, std::size_t) {
                          if (!self->open_) {
                              return;
                          }
                          self->outgoing_.pop_front();
                          // A failed write shows as a failed read, after everything that the agent
                          // still said was heard.
                          if (!error && !self->outgoing_.empty()) {
                              self->write_front();
                          }
                      });
}

void AgentLink::lost() {
    close();
    on_closed_(*this);
}

void AgentLink::close() {
    open_ = false;
    boost::system::error_code ignored;
    socket_.close(ignored);
}

int AgentLink::peer_uid() const {
    ucred peer{};
    socklen_t size = sizeof peer;
    // getsockopt does not change the socket, but asio's native_handle() is not const.
    const int fd = const_cast<Socket&>(socket_).native_handle();
    return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? static_cast<int>(peer.uid)
                                                                        : -1;
}

}  // namespace mpitrain
