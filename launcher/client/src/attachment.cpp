#include "attachment.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace mpitrain::client::detail {
namespace {

// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): a signal handler reads it
std::atomic<ControlPage*> attached = nullptr;
static_assert(std::atomic<ControlPage*>::is_always_lock_free);

void detach_in_child() {
    attached.store(nullptr, std::memory_order_relaxed);
}

ControlPage* map_page(const char* path) {
    const int file = ::open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0) {
        return nullptr;
    }
    struct stat status {};
    void* memory = MAP_FAILED;
    // The size is checked, since touching a page behind the end of its file is a SIGBUS.
    if (::fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
        status.st_size >= static_cast<off_t>(control_page_bytes)) {
        memory = ::mmap(nullptr, control_page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    }
    ::close(file);
    if (memory == MAP_FAILED) {
        return nullptr;
    }
    auto* const page = static_cast<ControlPage*>(memory);
    if (page->magic != ControlPage::expected_magic) {
        ::munmap(memory, control_page_bytes);
        return nullptr;
    }
    return page;
}

// Async-signal-safe.
void on_terminate(int number, siginfo_t* info, void* /*context*/) {
    ControlPage* const page = attached.load(std::memory_order_relaxed);
    const auto sender = static_cast<std::uint64_t>(info->si_pid);
    if (page == nullptr || sender == page->agent_pid) {
        // A child of the program, or mpitrain's own order: do what SIGTERM does. It comes when we
        // return.
        ::signal(number, SIG_DFL);
        ::raise(number);
        return;
    }
    page->external_stop_pid.store(sender);
    page->external_stop.store(static_cast<std::uint64_t>(number));
}

// At load, so that the agent knows within milliseconds that this program can be asked to stop.
[[gnu::constructor]] void attach_at_load() {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): before main, there is one thread
    if (const char* path = std::getenv("MPITRAIN_CONTROL")) {
        attach(path);
    }
}

}  // namespace

ControlPage* page() {
    return attached.load(std::memory_order_relaxed);
}

void attach(const char* path) {
    ControlPage* const page = map_page(path);
    if (page == nullptr) {
        return;
    }
    std::uint32_t none = 0;
    page->client_use.compare_exchange_strong(none, 1);
    if (attached.exchange(page) == nullptr) {
        ::pthread_atfork(nullptr, nullptr, &detach_in_child);
    }
}

void catch_terminate() {
    static const bool once = [] {
        struct sigaction now {};
        if (::sigaction(SIGTERM, nullptr, &now) != 0 || (now.sa_flags & SA_SIGINFO) != 0 ||
            now.sa_handler != SIG_DFL) {
            return false;
        }
        struct sigaction ours {};
        ours.sa_sigaction = &on_terminate;
        ours.sa_flags = SA_SIGINFO | SA_RESTART;
        return ::sigaction(SIGTERM, &ours, nullptr) == 0;
    }();
    static_cast<void>(once);
}

}  // namespace mpitrain::client::detail
