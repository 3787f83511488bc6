#pragma once

#include <array>
#include <string>

#include "connection.hpp"
#include "mpitrain/output/output_queue.hpp"

namespace mpitrain::rank {

// Carries both output streams of a program: from its pipes into their files at once, from there to
// the supervisor within the credit it gave. Loop-only.
class OutputPump {
  public:
    struct Ends {
        UniqueFd from;  // the program's stream, non-blocking
        UniqueFd file;
    };
    OutputPump(Ends out, Ends err, OutputQueue::Taken taken, bool forward)
        : streams_{Carried{std::move(out.from), OutputQueue(out.file.release(), taken)},
                   Carried{std::move(err.from), OutputQueue(err.file.release(), taken)}},
          forward_(forward) {}

    // What to poll for reading; -1 once the stream has ended.
    [[nodiscard]] int fd(wire::Stream stream) const { return at(stream).from.get(); }
    // Carries what has come, at most some 100 KiB, so that the loop stays responsive.
    void read_some(wire::Stream stream);
    // Carries all that is there; nothing will come after it.
    void finish();

    // Sends whole lines, as many as the socket and `credit` take, and lowers `credit` by their
    // bytes.
    void forward(Connection& connection, std::uint64_t& credit);
    [[nodiscard]] bool drained() const;
    void seal();

    [[nodiscard]] const std::string& err_tail() const { return err_tail_; }

  private:
    struct Carried {
        UniqueFd from;
        OutputQueue queue;
    };
    [[nodiscard]] const Carried& at(wire::Stream s) const {
        return streams_[s == wire::Stream::err];
    }
    bool read_once(wire::Stream stream);

    std::array<Carried, 2> streams_;
    std::string err_tail_;
    bool forward_;
};

}  // namespace mpitrain::rank
