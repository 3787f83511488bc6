#include "mapped_file.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace mpitrain::checkpoint::tool {
namespace {

// What the handler says: made beforehand, since it may call next to nothing.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): a signal handler has no other
std::array<char, 512> last_words{};

extern "C" void tell_unreadable(int) {
    const auto* end = std::find(last_words.begin(), last_words.end(), '\0');
    static_cast<void>(::write(
        STDERR_FILENO, last_words.data(), static_cast<std::size_t>(end - last_words.begin())));
    ::_exit(125);
}

void arm(const std::string& path) {
    const std::string text = "mpitrain: " + path +
                             ": cannot be read any more: it has become shorter, or its disk fails; "
                             "nothing was imported\n";
    last_words.fill('\0');
    text.copy(last_words.data(), last_words.size() - 1);
    struct sigaction action = {};
    action.sa_handler = tell_unreadable;
    ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return system_error(errno, "open", path);
    }
    struct stat status = {};
    const auto map = [&]() -> Result<MappedFile> {
        if (::fstat(fd, &status) != 0) {
            return system_error(errno, "look at", path);
        }
        if (!S_ISREG(status.st_mode)) {
            return Error(ErrorCode::invalid_argument, "this is not a file").at(path);
        }
        const auto size = static_cast<std::size_t>(status.st_size);
        if (size == 0) {
            return MappedFile({});
        }
        void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (memory == MAP_FAILED) {
            return system_error(errno, "map", path);
        }
        static_cast<void>(::madvise(memory, size, MADV_SEQUENTIAL));
        arm(path);
        return MappedFile({static_cast<const std::byte*>(memory), size});
    };
    auto mapped = map();
    ::close(fd);
    return mapped;
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile::~MappedFile() {
    if (!bytes_.empty()) {
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): what mmap gave
        ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
    }
}

}  // namespace mpitrain::checkpoint::tool
