#include "mpitrain/sim/text_input.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>

namespace mpitrain::sim {

Result<std::string> read_text(const std::string& path) {
    constexpr std::size_t bytes_max = std::size_t{2} << 30;
    struct Close {
        void operator()(gzFile_s* file) const { gzclose(file); }
    };
    errno = 0;
    const std::unique_ptr<gzFile_s, Close> file(gzopen(path.c_str(), "rbe"));
    if (!file) {
        return system_error(errno == 0 ? ENOMEM : errno, "open", path);
    }
    std::string text;
    std::array<char, 1 << 16> buffer{};
    while (true) {
        const int count = gzread(file.get(), buffer.data(), buffer.size());
        if (count < 0) {
            int code = 0;
            const char* message = gzerror(file.get(), &code);
            if (code == Z_ERRNO) {
                return system_error(errno, "read", path);
            }
            return Error(ErrorCode::data_loss, fmt::format("cannot unpack: {}", message)).at(path);
        }
        if (count == 0) {
            break;
        }
        text.append(buffer.data(), static_cast<std::size_t>(count));
        if (text.size() > bytes_max) {
            return Error(ErrorCode::invalid_argument, "is longer than 2 GiB").at(path);
        }
    }
    int code = Z_OK;
    gzerror(file.get(), &code);
    if (code == Z_BUF_ERROR) {
        return Error(ErrorCode::data_loss, "ends in the middle of packed data").at(path);
    }
    return text;
}

Result<void> write_text(const std::string& path, const std::string& text) {
    const std::string part = path + ".part";
    struct Close {
        void operator()(FILE* file) const { static_cast<void>(std::fclose(file)); }
    };
    std::unique_ptr<FILE, Close> file(std::fopen(part.c_str(), "we"));
    if (!file) {
        return system_error(errno, "create", part);
    }
    const bool whole = std::fwrite(text.data(), 1, text.size(), file.get()) == text.size();
    if (!whole || std::fclose(file.release()) != 0) {
        return system_error(errno, "write", part);
    }
    if (std::rename(part.c_str(), path.c_str()) != 0) {
        return system_error(errno, "rename", part);
    }
    return {};
}

}  // namespace mpitrain::sim
