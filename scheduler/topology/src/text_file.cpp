#include "text_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace mpitrain::topology {
namespace {

constexpr std::size_t small_file_max = 1
                                       << 20;  // far above any file of /proc and /sys that we read

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t size_max) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return system_error(errno, "open the file", path);
    }
    std::string text;
    std::array<char, 1 << 14> buffer;
    ssize_t got = 0;
    do {
        got = read(file, buffer.data(), buffer.size());
        if (got > 0) {
            text.append(buffer.data(), static_cast<std::size_t>(got));
        }
    } while ((got > 0 || (got < 0 && errno == EINTR)) && text.size() <= size_max);
    const int reason = errno;
    close(file);
    if (got < 0) {
        return system_error(reason, "read the file", path);
    }
    return text;
}

std::optional<std::string> read_text(const std::string& path) {
    auto text = read_file(path, small_file_max);
    return text ? std::optional(*std::move(text)) : std::nullopt;
}

}  // namespace mpitrain::topology
