#include "control_file.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <new>

#include "text_file.hpp"

namespace mpitrain::rank {

using client::ControlPage;
using client::StopPhase;
using recorder::OperationPage;

namespace {

constexpr const char* stacks_suffix = ".stacks";
constexpr std::size_t stacks_bytes_max = 64U << 10U;
constexpr std::size_t file_bytes = recorder::operation_page_offset + recorder::operation_page_bytes;

}  // namespace

std::unique_ptr<ControlFile> ControlFile::create(const std::string& path, pid_t agent) {
    ::unlink(path.c_str());
    const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file) {
        return nullptr;
    }
    // Allocated now, so that a full file system is an error here and not a SIGBUS in the program.
    if (const int error = ::posix_fallocate(file.get(), 0, file_bytes)) {
        ::unlink(path.c_str());
        errno = error;
        return nullptr;
    }
    void* const memory =
        ::mmap(nullptr, file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (memory == MAP_FAILED) {
        ::unlink(path.c_str());
        return nullptr;
    }
    auto* const page = new (memory) ControlPage{};
    page->agent_pid = static_cast<std::uint64_t>(agent);
    page->magic = ControlPage::expected_magic;
    auto* const operations =
        new (static_cast<char*>(memory) + recorder::operation_page_offset) OperationPage{};
    operations->magic = OperationPage::expected_magic;
    return std::unique_ptr<ControlFile>(new ControlFile(path, page, operations));
}

ControlFile::~ControlFile() {
    ::munmap(page_, file_bytes);
    ::unlink(path_.c_str());
    ::unlink((path_ + stacks_suffix).c_str());
}

wire::ClientUse ControlFile::use() const {
    const std::uint32_t use = page_->client_use.load();
    return use == 0 ? wire::ClientUse::none
                    : (use == 1 ? wire::ClientUse::attached : wire::ClientUse::polls);
}

bool ControlFile::told_stop() const {
    return page_->told_stop.load() != 0;
}

std::vector<wire::Message> ControlFile::news() {
    std::vector<wire::Message> news;
    read_commits(news);
    if (auto failure = read_failure()) {
        news.emplace_back(*std::move(failure));
    }
    if (auto progress = read_progress()) {
        news.emplace_back(*std::move(progress));
    }
    const std::uint64_t begun = operations_->begun.load(std::memory_order_relaxed);
    if (begun != operations_told_) {
        operations_told_ = begun;
        news.emplace_back(
            wire::Activity{begun, operations_->spent_ns.load(std::memory_order_relaxed)});
    }
    if (const std::uint64_t signal = page_->external_stop.exchange(0)) {
        news.emplace_back(
            wire::StopRequested{static_cast<std::int32_t>(signal),
                                static_cast<std::int32_t>(page_->external_stop_pid.load()),
                                false});
    }
    return news;
}

void ControlFile::read_commits(std::vector<wire::Message>& news) {
    const std::uint64_t commits = page_->commits.load(std::memory_order_acquire);
    if (commits > commits_read_ + ControlPage::commits_kept) {
        commits_read_ = commits - ControlPage::commits_kept;  // a program that did not wait for us
    }
    for (; commits_read_ < commits; ++commits_read_) {
        const std::size_t slot = commits_read_ % ControlPage::commits_kept;
        news.emplace_back(
            wire::Commit{page_->commit_step[slot].load(), page_->commit_time_ns[slot].load()});
    }
    page_->commits_read.store(commits_read_, std::memory_order_release);
}

std::optional<wire::SaveFailed> ControlFile::read_failure() {
    const std::uint64_t before = page_->failed_sequence.load(std::memory_order_acquire);
    if (before == failed_read_ || before % 2 != 0) {
        return std::nullopt;
    }
    const auto reason = page_->failed_reason;
    wire::SaveFailed failure{page_->failed_step.load(std::memory_order_relaxed),
                             std::string(reason.data(), ::strnlen(reason.data(), reason.size()))};
    std::atomic_thread_fence(std::memory_order_acquire);
    if (page_->failed_sequence.load(std::memory_order_relaxed) != before) {
        return std::nullopt;  // being written anew; the next look will see it
    }
    failed_read_ = before;
    return failure;
}

std::optional<wire::Progress> ControlFile::read_progress() {
    constexpr int attempts = 8;  // the writer may have died in the middle
    for (int i = 0; i < attempts; ++i) {
        const std::uint64_t before = page_->progress_sequence.load(std::memory_order_acquire);
        wire::Progress progress;
        progress.checkpoint_ns = page_->checkpoint_ns.load();
        if (before == progress_read_ && progress.checkpoint_ns == checkpoint_read_ns_) {
            return std::nullopt;
        }
        progress.step = page_->step.load(std::memory_order_relaxed);
        progress.total = page_->total.load(std::memory_order_relaxed);
        const std::uint64_t count = std::min<std::uint64_t>(
            page_->metric_count.load(std::memory_order_relaxed), ControlPage::metrics_max);
        for (std::size_t m = 0; m < count; ++m) {
            const ControlPage::MetricSlot slot = page_->metrics[m];
            progress.metrics.push_back(
                {std::string(slot.name.data(), ::strnlen(slot.name.data(), slot.name.size())),
                 slot.value});
        }
        std::atomic_thread_fence(std::memory_order_acquire);
        const bool stable =
            page_->progress_sequence.load(std::memory_order_relaxed) == before && before % 2 == 0;
        if (stable) {
            progress_read_ = before;
            checkpoint_read_ns_ = progress.checkpoint_ns;
            return progress;
        }
    }
    return std::nullopt;
}

wire::StopPrepared ControlFile::prepare_stop() {
    std::uint32_t expected = static_cast<std::uint32_t>(StopPhase::none);
    page_->stop_phase.compare_exchange_strong(expected,
                                              static_cast<std::uint32_t>(StopPhase::hold));
    const std::uint64_t answered = page_->answered.load();
    wire::StopPrepared prepared{use(), std::nullopt};
    if (answered > 0) {
        prepared.last_answered = answered - 1;
    }
    return prepared;
}

void ControlFile::decide_stop(std::uint64_t step, std::int64_t left_ns) {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    page_->stop_deadline_ns.store(static_cast<std::uint64_t>(
        std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec + left_ns));
    page_->stop_step.store(step);
    page_->stop_phase.store(static_cast<std::uint32_t>(StopPhase::decided));
    wake();
}

bool ControlFile::records() const {
    return operations_->begun.load(std::memory_order_relaxed) != 0;
}

pid_t ControlFile::recorder() const {
    return static_cast<pid_t>(operations_->writer.load(std::memory_order_relaxed));
}

int ControlFile::stacks_signal() const {
    return static_cast<int>(operations_->stacks_signal.load(std::memory_order_relaxed));
}

std::uint64_t ControlFile::stacks_written() const {
    return operations_->stacks_written.load(std::memory_order_relaxed);
}

std::string ControlFile::take_stacks() const {
    const std::string path = path_ + stacks_suffix;
    std::string text = read_file(path, stacks_bytes_max).value_or("");
    ::unlink(path.c_str());
    return text;
}

std::vector<wire::Operation> ControlFile::operations() const {
    std::vector<wire::Operation> all;
    for (const recorder::Operation& noted : recorder::read_operations(*operations_)) {
        all.push_back({.begun_ns = noted.begun_ns,
                       .ended_ns = noted.ended_ns,
                       .group = noted.group,
                       .number = noted.number,
                       .bytes = noted.bytes,
                       .kind = static_cast<std::uint32_t>(noted.kind),
                       .shape = noted.shape,
                       .root = noted.root,
                       .ranks = noted.ranks});
    }
    return all;
}

void ControlFile::wake() const {
    ::syscall(SYS_futex, &page_->stop_phase, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace mpitrain::rank
