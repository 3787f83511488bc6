#include "mpitrain/output/output_queue.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace mpitrain {
namespace {

// Repeats a call that a signal interrupted.
template <typename Call>
auto retry(Call call) {
    auto result = call();
    while (result == -1 && errno == EINTR) {
        result = call();
    }
    return result;
}

constexpr std::uint64_t freed_bytes_min = 1U << 20U;

}  // namespace

OutputQueue::File::~File() {
    if (fd_ >= 0) {
        ::close(fd_);
    }
}

void OutputQueue::append(std::string_view bytes, bool more_follows) {
    if (bytes.empty()) {
        return;
    }
    note_lines(bytes, more_follows);
    const bool in_order = spill_.empty() && dropped_ == 0;
    const std::size_t written = in_order ? write_file(bytes) : 0;
    if (written == bytes.size()) {
        return;
    }
    spill_.append(bytes.substr(written));
    if (!in_order) {
        write_out();
    }
    if (spill_.size() > spill_bytes_max) {
        drop_oldest(spill_.size() - spill_bytes_max);
    }
}

void OutputQueue::note_lines(std::string_view bytes, bool more_follows) {
    unterminated_ += bytes.size();
    if (last_was_cr_ && bytes.front() != '\n') {
        unterminated_ = bytes.size();  // the "\r" before was a line end of its own
    }
    last_was_cr_ = more_follows && bytes.back() == '\r';
    const std::string_view known = bytes.substr(0, bytes.size() - (last_was_cr_ ? 1 : 0));
    const std::size_t last = known.find_last_of("\n\r");
    if (last != std::string_view::npos) {
        unterminated_ = bytes.size() - last - 1;
    }
}

std::size_t OutputQueue::write_file(std::string_view bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t count = retry([&] {
            return ::pwrite(
                file_.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(size_));
        });
        if (count <= 0) {
            write_error_ = count < 0 ? errno : ENOSPC;
            break;
        }
        done += static_cast<std::size_t>(count);
        size_ += static_cast<std::uint64_t>(count);
        last_written_ = bytes[done - 1];
    }
    return done;
}

void OutputQueue::write_out() {
    if (dropped_ > 0 && !write_notice()) {
        return;
    }
    const std::size_t written = write_file(spill_);
    const std::size_t known = std::min(written, spill_forwarded_);
    forwarded_ += known;
    spill_forwarded_ -= known;
    spill_.erase(0, written);
}

bool OutputQueue::write_notice() {
    const std::string text = (last_written_ == '\n' ? "" : "\n") + notice(dropped_);
    const std::uint64_t before = size_;
    const char last_before = last_written_;
    if (write_file(text) < text.size()) {
        size_ = before;
        last_written_ = last_before;
        retry([&] { return ::ftruncate(file_.get(), static_cast<off_t>(before)); });
        return false;
    }
    if (forwarded_ == before) {
        forwarded_ =
            size_;  // the reader has gone past this place: it got the bytes, or gap_ tells it
    } else {
        gap_ = 0;  // it will read the notice here
    }
    dropped_ = 0;
    unterminated_ = std::min<std::uint64_t>(unterminated_, spill_.size());
    return true;
}

void OutputQueue::drop_oldest(std::size_t count) {
    const std::size_t known = std::min(count, spill_forwarded_);
    spill_forwarded_ -= known;
    gap_ += count - known;
    dropped_ += count;
    dropped_total_ += count;
    spill_.erase(0, count);
    unterminated_ = std::min<std::uint64_t>(unterminated_, spill_.size());
}

std::string OutputQueue::notice(std::uint64_t count) const {
    return fmt::format(
        "[mpitrain: {} bytes dropped: {}]\n", count, ::strerrordesc_np(write_error_));
}

std::uint64_t OutputQueue::untaken() const {
    return (size_ - forwarded_) + (spill_.size() - spill_forwarded_);
}

std::string OutputQueue::take(std::uint64_t limit) {
    if (gap_ > 0 && forwarded_ == size_ && spill_forwarded_ == 0) {
        std::string text = (last_written_ == '\n' ? "" : "\n") + notice(gap_);
        if (text.size() > limit) {
            return {};
        }
        gap_ = 0;
        return text;
    }
    // Nothing may be read across the gap, which lies where the file ends.
    const bool before_gap = gap_ > 0 && forwarded_ < size_;
    const bool whole = ended_ || before_gap || unterminated_ >= piece_bytes_max;
    const std::uint64_t ready = before_gap
                                    ? size_ - forwarded_
                                    : untaken() - (whole ? 0 : std::min(unterminated_, untaken()));
    const auto want =
        static_cast<std::size_t>(std::min<std::uint64_t>({limit, piece_bytes_max, ready}));
    if (want == 0) {
        return {};
    }
    std::string piece = peek(std::min<std::size_t>(want + 1, ready));
    if (piece.empty()) {
        return take(limit);  // the file was cut short; what is left is a gap to tell
    }
    if (piece.size() > want) {  // there is more: cut at a line end, not within "\r\n"
        std::size_t last = piece.find_last_of("\n\r", want - 1);
        if (last == want - 1 && piece[last] == '\r' && piece[want] == '\n') {
            last = last == 0 ? std::string::npos : piece.find_last_of("\n\r", last - 1);
        }
        if (last == std::string::npos && want < piece_bytes_max) {
            return {};
        }
        piece.resize(last == std::string::npos ? want : last + 1);
    }
    advance(piece.size());
    return piece;
}

std::string OutputQueue::peek(std::size_t count) {
    std::string bytes(count, '\0');
    const auto in_file =
        static_cast<std::size_t>(std::min<std::uint64_t>(count, size_ - forwarded_));
    std::size_t done = 0;
    while (done < in_file) {
        const ssize_t got = retry([&] {
            return ::pread(file_.get(),
                           bytes.data() + done,
                           in_file - done,
                           static_cast<off_t>(forwarded_ + done));
        });
        if (got <= 0) {  // somebody has cut our file: what was there cannot be forwarded any more
            write_error_ = got < 0 ? errno : ENODATA;
            gap_ += in_file - done;
            forwarded_ += in_file - done;
            bytes.resize(done);
            return bytes;
        }
        done += static_cast<std::size_t>(got);
    }
    spill_.copy(bytes.data() + done, count - done, spill_forwarded_);
    return bytes;
}

void OutputQueue::advance(std::size_t count) {
    const auto in_file =
        static_cast<std::size_t>(std::min<std::uint64_t>(count, size_ - forwarded_));
    forwarded_ += in_file;
    spill_forwarded_ += count - in_file;
    unterminated_ = std::min(unterminated_, untaken());
    if (taken_ == Taken::is_freed && forwarded_ - freed_ >= freed_bytes_min) {
        free_taken();
    }
}

// A file system that cannot do it keeps the bytes.
void OutputQueue::free_taken() {
    retry([&] {
        return ::fallocate(file_.get(),
                           FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                           static_cast<off_t>(freed_),
                           static_cast<off_t>(forwarded_ - freed_));
    });
    freed_ = forwarded_;
}

bool OutputQueue::drained() const {
    return ended_ && untaken() == 0 && gap_ == 0;
}

void OutputQueue::seal() {
    if (dropped_ == 0 && spill_.empty()) {
        return;
    }
    write_out();
    if (dropped_ == 0 && spill_.empty()) {
        return;
    }
    dropped_ += spill_.size();
    dropped_total_ += spill_.size();
    spill_.clear();
    spill_forwarded_ = 0;
    if (write_notice()) {
        return;
    }
    // Over the last lines then: bytes that the file has already cost no new block.
    std::string tail(std::min<std::uint64_t>(size_, 4096), '\0');
    const std::uint64_t tail_at = size_ - tail.size();
    if (::pread(file_.get(), tail.data(), tail.size(), static_cast<off_t>(tail_at)) !=
        static_cast<ssize_t>(tail.size())) {
        return;
    }
    const std::size_t room = notice(dropped_ + tail.size()).size();
    if (tail.size() < room) {
        return;
    }
    const std::size_t line_end = tail.find_last_of('\n', tail.size() - room);
    const std::size_t cut = line_end == std::string::npos ? 0 : line_end + 1;
    const std::uint64_t place = tail_at + std::min(cut, tail.size() - room);
    dropped_total_ += size_ - place;
    const std::string text = notice(dropped_ + (size_ - place));
    size_ = place;
    write_file(text);
    retry([&] { return ::ftruncate(file_.get(), static_cast<off_t>(size_)); });
    dropped_ = 0;
}

}  // namespace mpitrain
