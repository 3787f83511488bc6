#include "text_file.hpp"

#include <fcntl.h>

#include <algorithm>
#include <charconv>

#include "posix.hpp"

namespace mpitrain::rank {

std::optional<std::string> read_file(const std::string& path, std::size_t bytes_max) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file) {
        return std::nullopt;
    }
    // Grown with what comes: touching all of `bytes_max` would cost more than starting a program.
    constexpr std::size_t chunk_bytes = 4096;
    std::string text;
    std::size_t done = 0;
    while (done < bytes_max) {
        text.resize(std::min(bytes_max, done + std::max(chunk_bytes, done)));
        const ssize_t count =
            retry([&] { return ::read(file.get(), text.data() + done, text.size() - done); });
        if (count < 0) {
            return std::nullopt;
        }
        if (count == 0) {
            break;
        }
        done += static_cast<std::size_t>(count);
    }
    text.resize(done);
    return text;
}

std::optional<std::uint64_t> number_behind(std::string_view text, std::string_view key) {
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        if (line.starts_with(key) && line.size() > key.size() && line[key.size()] == ' ') {
            std::uint64_t number = 0;
            const char* const digits = line.data() + key.size() + 1;
            if (std::from_chars(digits, line.data() + line.size(), number).ec == std::errc()) {
                return number;
            }
        }
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return std::nullopt;
}

}  // namespace mpitrain::rank
