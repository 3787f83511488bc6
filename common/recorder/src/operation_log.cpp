#include "mpitrain/recorder/operation_log.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>

#include "stack_reporter.hpp"

namespace mpitrain::recorder {

namespace {

std::uint64_t now_ns() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U +
           static_cast<std::uint64_t>(time.tv_nsec);
}

OperationPage* map_page(const char* path) {
    const int file = ::open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0) {
        return nullptr;
    }
    struct stat status {};
    void* memory = MAP_FAILED;
    // The size is checked, since touching a page behind the end of its file is a SIGBUS.
    constexpr std::size_t end = operation_page_offset + operation_page_bytes;
    if (::fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
        status.st_size >= static_cast<off_t>(end)) {
        memory = ::mmap(nullptr,
                        operation_page_bytes,
                        PROT_READ | PROT_WRITE,
                        MAP_SHARED,
                        file,
                        static_cast<off_t>(operation_page_offset));
    }
    ::close(file);
    if (memory == MAP_FAILED) {
        return nullptr;
    }
    auto* const page = static_cast<OperationPage*>(memory);
    if (page->magic != OperationPage::expected_magic) {
        ::munmap(memory, operation_page_bytes);
        return nullptr;
    }
    page->writer.store(static_cast<std::uint64_t>(::getpid()));
    page->stacks_signal.store(0);
    answer_with_stacks(*page, path);
    return page;
}

}  // namespace

OperationLog* OperationLog::of_this_process() {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): read once; nobody unsets it
    static const char* const path = std::getenv("MPITRAIN_CONTROL");
    // NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): where the log writes
    static OperationPage* const page = path != nullptr ? map_page(path) : nullptr;
    if (page == nullptr) {
        return nullptr;
    }
    static OperationLog log(*page);
    return &log;
}

std::uint64_t OperationLog::begin(const Operation& operation) {
    constexpr auto relaxed = std::memory_order_relaxed;
    const std::uint64_t sequence = page_.begun.fetch_add(1, std::memory_order_acq_rel) + 1;
    OperationEntry& entry = page_.entries[sequence % OperationPage::entries_kept];
    entry.sequence.store(0, relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    entry.begun_ns.store(now_ns(), relaxed);
    entry.ended_ns.store(0, relaxed);
    entry.group.store(operation.group, relaxed);
    entry.number.store(operation.number, relaxed);
    entry.bytes.store(operation.bytes, relaxed);
    entry.kind.store(static_cast<std::uint32_t>(operation.kind), relaxed);
    entry.shape.store(operation.shape, relaxed);
    entry.root.store(operation.root, relaxed);
    entry.ranks.store(operation.ranks, relaxed);
    entry.sequence.store(sequence, std::memory_order_release);
    return sequence;
}

void OperationLog::end(std::uint64_t sequence) {
    OperationEntry& entry = page_.entries[sequence % OperationPage::entries_kept];
    // Unless so many others began in between that the entry is another's by now.
    if (entry.sequence.load(std::memory_order_relaxed) == sequence) {
        const std::uint64_t now = now_ns();
        page_.spent_ns.fetch_add(now - entry.begun_ns.load(std::memory_order_relaxed),
                                 std::memory_order_relaxed);
        entry.ended_ns.store(now, std::memory_order_release);
    }
}

}  // namespace mpitrain::recorder
