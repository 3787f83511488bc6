#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "mpitrain/base/result.hpp"
#include "mpitrain/output/output_queue.hpp"
#include "mpitrain/wire/message.hpp"

namespace mpitrain {

// The output of a rank on another machine: into the rank's files at once, and from there to the
// terminal, within the credit that it gives. Not thread-safe.
class RankOutput {
  public:
    // Makes <prefix>.out and <prefix>.err. Errors: those of open(2).
    static Result<std::unique_ptr<RankOutput>> create(const std::string& prefix, bool shown);

    void append(wire::Stream stream, std::string_view bytes) { queue(stream).append(bytes, false); }
    void end();
    void grant(std::size_t bytes) { credit_ += bytes; }
    // The next whole lines to show; empty when there are none, or there is no credit for them.
    std::string take(wire::Stream stream);
    [[nodiscard]] bool drained() const;
    void seal();

  private:
    RankOutput(int out, int err, bool shown)
        : queues_{OutputQueue(out), OutputQueue(err)}, shown_(shown) {}
    OutputQueue& queue(wire::Stream stream) { return queues_[stream == wire::Stream::err]; }

    std::array<OutputQueue, 2> queues_;
    bool shown_;
    std::uint64_t credit_ = OutputQueue::piece_bytes_max;
};

}  // namespace mpitrain
