// Writes numbered lines to both streams in pieces of random size, and says how long the longest
// write took.
//
//   lines --lines N --report DIR [--seed S]
//
// Line i of a stream is "<stream> <rank> <i> <letters>\n", with lengths up to 100 bytes.
// DIR/rank-<r> gets the longest write in microseconds.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <random>
#include <string>

#include "arguments.hpp"

namespace mpitrain::programs {
namespace {

using Clock = std::chrono::steady_clock;

class Writer {
  public:
    Writer(int fd, char name, unsigned seed) : fd_(fd), name_(name), random_(seed) {}

    // Writes a piece that ends anywhere. False when all lines are out.
    bool write_piece(int rank, long lines, Clock::duration& longest) {
        while (text_.size() < piece_bytes_max && line_ < lines) {
            add_line(rank);
        }
        if (text_.empty()) {
            return false;
        }
        const std::size_t wanted =
            std::min<std::size_t>(1 + random_() % piece_bytes_max, text_.size());
        const auto before = Clock::now();
        const ssize_t written = ::write(fd_, text_.data(), wanted);
        longest = std::max(longest, Clock::now() - before);
        if (written < 0) {
            std::perror("write");
            _exit(97);
        }
        text_.erase(0, static_cast<std::size_t>(written));
        return true;
    }

  private:
    static constexpr std::size_t piece_bytes_max = 300;

    void add_line(int rank) {
        text_ += name_;
        text_ += ' ' + std::to_string(rank) + ' ' + std::to_string(line_) + ' ';
        text_.append(5 + random_() % 80, static_cast<char>('a' + line_ % 26));
        text_ += '\n';
        ++line_;
    }

    int fd_;
    char name_;
    std::mt19937 random_;
    std::string text_;
    long line_ = 0;
};

int run(const Arguments& arguments) {
    const int rank = environment_number("RANK", 0);
    const long lines = arguments.number("--lines", 1000);
    const auto seed = static_cast<unsigned>(arguments.number("--seed", 1) * 1000 + rank);
    Writer out(STDOUT_FILENO, 'o', seed);
    Writer err(STDERR_FILENO, 'e', seed + 500);
    Clock::duration longest{};
    for (bool more = true; more;) {
        more = out.write_piece(rank, lines, longest);
        more = err.write_piece(rank, lines, longest) || more;
    }
    const std::string path = arguments.text("--report", ".") + "/rank-" + std::to_string(rank);
    std::FILE* report = std::fopen(path.c_str(), "w");
    if (report == nullptr) {
        std::perror(path.c_str());
        return 1;
    }
    std::fprintf(report,
                 "%lld\n",
                 static_cast<long long>(
                     std::chrono::duration_cast<std::chrono::microseconds>(longest).count()));
    return std::fclose(report) == 0 ? 0 : 1;
}

}  // namespace
}  // namespace mpitrain::programs

int main(int argc, char** argv) {
    return mpitrain::programs::run(mpitrain::programs::Arguments(argc, argv));
}
