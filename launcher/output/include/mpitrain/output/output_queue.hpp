#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <utility>

namespace mpitrain {

// One output stream of a rank: every byte goes into its file at once, and the file is the queue
// from which whole lines are forwarded, as slowly as their reader likes. So the program never waits
// for a reader, and memory stays bounded.
//
// When the file cannot be written, the newest `spill_bytes_max` bytes wait in memory; what does not
// fit is dropped, counted, and stated in the file in its place as soon as the file takes bytes
// again, at the latest by seal().
//
//   file: [0 ............ forwarded_ ...... size_)  then, not in the file: dropped_ bytes, then
//   spill_
//
// `\n` and `\r` end a line. A line longer than `piece_bytes_max` is forwarded in pieces. Loop-only.
class OutputQueue {
  public:
    static constexpr std::size_t piece_bytes_max = 64U << 10U;
    static constexpr std::size_t spill_bytes_max = 256U << 10U;

    // What becomes of a byte in the file once it was taken: it stays, or its room is given back.
    enum class Taken : std::uint8_t { stays, is_freed };

    // Owns `file` from now on: an open, empty file that can be read and written.
    explicit OutputQueue(int file, Taken taken = Taken::stays) : file_(file), taken_(taken) {}

    // Takes the program's next bytes. `more_follows`: the next bytes are known to be waiting, so
    // that a final "\r" may be the first half of "\r\n".
    void append(std::string_view bytes, bool more_follows);
    // The program has ended: what has no line end is now forwarded too.
    void end() { ended_ = true; }

    // The next lines to forward, at most `limit` bytes; empty when there is no whole line, or the
    // next one needs more. `limit` must some time reach piece_bytes_max, or a long line never goes.
    std::string take(std::uint64_t limit);
    // All was taken, after end().
    [[nodiscard]] bool drained() const;

    // Last act: states in the file what is missing from it, over its last lines if there is no room
    // else.
    void seal();
    // Bytes that are missing from the file so far, and why.
    [[nodiscard]] std::uint64_t dropped() const { return dropped_total_; }

  private:
    void note_lines(std::string_view bytes, bool more_follows);
    std::size_t write_file(std::string_view bytes);  // how many it took
    void write_out();
    bool write_notice();
    void drop_oldest(std::size_t count);
    [[nodiscard]] std::string notice(std::uint64_t count) const;
    [[nodiscard]] std::uint64_t untaken() const;
    std::string peek(std::size_t count);
    void advance(std::size_t count);

    // Owns the descriptor.
    class File {
      public:
        explicit File(int fd) : fd_(fd) {}
        File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
        File& operator=(File&& other) noexcept {
            std::swap(fd_, other.fd_);
            return *this;
        }
        File(const File&) = delete;
        File& operator=(const File&) = delete;
        ~File();
        [[nodiscard]] int get() const { return fd_; }

      private:
        int fd_;
    };
    void free_taken();

    File file_;
    Taken taken_;
    std::uint64_t freed_ = 0;
    std::uint64_t size_ = 0;
    std::uint64_t forwarded_ = 0;
    std::string spill_;
    std::size_t spill_forwarded_ = 0;  // more than 0 only when all of the file is forwarded
    std::uint64_t dropped_ = 0;        // not yet stated in the file
    std::uint64_t dropped_total_ = 0;
    std::uint64_t gap_ = 0;           // of those, never forwarded; stated before the spill is
    std::uint64_t unterminated_ = 0;  // bytes behind the last line end
    char last_written_ = '\n';
    bool last_was_cr_ = false;
    bool ended_ = false;
    int write_error_ = 0;
};

}  // namespace mpitrain
