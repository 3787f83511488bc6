#include "output_pump.hpp"

#include <algorithm>

namespace mpitrain::rank {
namespace {

constexpr std::size_t tail_bytes = 4096;
constexpr int reads_in_a_row = 4;
// Beyond this the socket is the slow one, and the file is the better queue.
constexpr std::size_t unsent_bytes_max = 64U << 10U;

}  // namespace

// Returns whether there may be more right now.
bool OutputPump::read_once(wire::Stream stream) {
    static std::array<char, 32U << 10U> bytes;  // one loop, one buffer: its pages stay warm
    Carried& carried = streams_[stream == wire::Stream::err];
    if (!carried.from) {
        return false;
    }
    const ssize_t count =
        retry([&] { return ::read(carried.from.get(), bytes.data(), bytes.size()); });
    if (count <= 0) {
        if (count == 0 || errno != EAGAIN) {  // EIO is a pseudo-terminal's end of file
            carried.from.reset();
        }
        return false;
    }
    const std::string_view text(bytes.data(), static_cast<std::size_t>(count));
    const bool full = text.size() == bytes.size();
    carried.queue.append(text, full);
    if (stream == wire::Stream::err) {
        err_tail_.append(text.substr(text.size() - std::min(text.size(), tail_bytes)));
        err_tail_.erase(0, err_tail_.size() - std::min(err_tail_.size(), tail_bytes));
    }
    // A pseudo-terminal gives at most 4 KiB a read, so only an empty read says that it is empty.
    return true;
}

void OutputPump::read_some(wire::Stream stream) {
    for (int i = 0; i < reads_in_a_row && read_once(stream); ++i) {
    }
}

void OutputPump::finish() {
    for (const wire::Stream stream : {wire::Stream::out, wire::Stream::err}) {
        while (read_once(stream)) {
        }
        Carried& carried = streams_[stream == wire::Stream::err];
        carried.from.reset();
        carried.queue.end();
    }
}

void OutputPump::forward(Connection& connection, std::uint64_t& credit) {
    for (bool sent = forward_; sent;) {
        sent = false;
        for (const wire::Stream stream : {wire::Stream::out, wire::Stream::err}) {
            if (connection.lost() || connection.unsent() >= unsent_bytes_max) {
                return;
            }
            std::string lines = streams_[stream == wire::Stream::err].queue.take(credit);
            if (!lines.empty()) {
                credit -= lines.size();
                sent = true;
                connection.send(wire::Output{stream, std::move(lines)});
            }
        }
    }
}

bool OutputPump::drained() const {
    return !forward_ || std::all_of(streams_.begin(), streams_.end(), [](const Carried& carried) {
        return carried.queue.drained();
    });
}

void OutputPump::seal() {
    for (Carried& carried : streams_) {
        carried.queue.seal();
    }
}

}  // namespace mpitrain::rank
