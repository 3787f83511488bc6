#include "rank_output.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "mpitrain/supervise/unique_fd.hpp"

namespace mpitrain {
namespace {

Result<UniqueFd> create_file(const std::string& path) {
    UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (!file) {
        return system_error(errno, "create", path).mend("choose another place with --log-dir");
    }
    return file;
}

}  // namespace

Result<std::unique_ptr<RankOutput>> RankOutput::create(const std::string& prefix, bool shown) {
    MPITRAIN_TRY(UniqueFd out, create_file(prefix + ".out"));
    MPITRAIN_TRY(UniqueFd err, create_file(prefix + ".err"));
    return std::unique_ptr<RankOutput>(new RankOutput(out.release(), err.release(), shown));
}

void RankOutput::end() {
    for (OutputQueue& queue : queues_) {
        queue.end();
    }
}

std::string RankOutput::take(wire::Stream stream) {
    if (!shown_) {
        return "";
    }
    std::string lines = queue(stream).take(credit_);
    credit_ -= lines.size();
    return lines;
}

bool RankOutput::drained() const {
    return !shown_ ||
           std::ranges::all_of(queues_, [](const OutputQueue& queue) { return queue.drained(); });
}

void RankOutput::seal() {
    for (OutputQueue& queue : queues_) {
        queue.seal();
    }
}

}  // namespace mpitrain
