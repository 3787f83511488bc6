#include "mpitrain/fake/file_system.hpp"

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include "mpitrain/base/assert.hpp"

namespace mpitrain::fake {
namespace {

constexpr std::size_t page_bytes = 4096;

struct Node;
using NodePtr = std::shared_ptr<Node>;
using Entries = std::map<std::string, NodePtr, std::less<>>;
// Names set, or removed (null), by one call: survive together or not at all.
using Change = std::vector<std::pair<std::string, NodePtr>>;

struct Node {
    explicit Node(bool is_directory) : directory(is_directory) {}
    bool directory;
    std::vector<std::byte> data;
    std::vector<std::byte> synced_data;
    Entries entries;
    Entries synced_entries;
    std::vector<Change> unsynced;

    void change(Change what) {
        apply(what, entries);
        unsynced.push_back(std::move(what));
    }
    static void apply(const Change& what, Entries& to) {
        for (const auto& [name, node] : what) {
            if (node) {
                to[name] = node;
            } else {
                to.erase(name);
            }
        }
    }
};

using Random = std::mt19937_64;

void settle_file(Node& file, Random* random) {
    if (random != nullptr) {
        // Each page reached the disk or did not, and so did the length.
        std::vector<std::byte> kept = file.synced_data;
        kept.resize((*random)() % 2 == 0 ? file.data.size() : kept.size());
        for (std::size_t at = 0; at < std::min(kept.size(), file.data.size()); at += page_bytes) {
            const std::size_t end = std::min({at + page_bytes, kept.size(), file.data.size()});
            if ((*random)() % 2 == 0) {
                std::copy(file.data.begin() + static_cast<std::ptrdiff_t>(at),
                          file.data.begin() + static_cast<std::ptrdiff_t>(end),
                          kept.begin() + static_cast<std::ptrdiff_t>(at));
            }
        }
        file.synced_data = std::move(kept);
    }
    file.data = file.synced_data;
}

void settle(Node& node, Random* random, std::set<const Node*>& seen) {
    if (!seen.insert(&node).second) {
        return;
    }
    if (!node.directory) {
        settle_file(node, random);
        return;
    }
    const std::size_t kept = random == nullptr ? 0 : (*random)() % (node.unsynced.size() + 1);
    for (std::size_t i = 0; i < kept; ++i) {
        Node::apply(node.unsynced[i], node.synced_entries);
    }
    node.unsynced.clear();
    node.entries = node.synced_entries;
    for (const auto& [name, child] : node.entries) {
        settle(*child, random, seen);
    }
}

// The life of one mount: dead once its process, or the machine, is.
struct Process {
    bool dead = false;
    std::function<void()> on_killed;

    void kill() {
        if (!std::exchange(dead, true) && on_killed) {
            on_killed();
        }
    }
};

class MemoryDisk;

class MemoryFile final : public File {
  public:
    MemoryFile(MemoryDisk& disk, std::shared_ptr<Process> process, NodePtr node, std::string path)
        : disk_(disk),
          process_(std::move(process)),
          node_(std::move(node)),
          path_(std::move(path)) {}
    Result<void> write(std::uint64_t offset, std::span<const std::byte> bytes) override;
    Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> bytes) override;
    Result<void> allocate(std::uint64_t length) override;
    Result<void> truncate(std::uint64_t length) override;
    Result<void> sync() override;
    Result<std::uint64_t> size_bytes() override;
    [[nodiscard]] bool is_direct() const override { return false; }

  private:
    MemoryDisk& disk_;
    std::shared_ptr<Process> process_;
    NodePtr node_;
    std::string path_;
};

class MemoryDisk final : public Disk {
  public:
    std::unique_ptr<FileSystem> mount(std::function<void()> on_killed) override;

    void plan(std::optional<FaultPlan> plan) override {
        const std::lock_guard guard(mutex_);
        plan_ = plan;
    }
    [[nodiscard]] std::uint64_t calls() const override {
        const std::lock_guard guard(mutex_);
        return calls_;
    }
    void crash(std::optional<std::uint64_t> seed) override {
        const std::lock_guard guard(mutex_);
        kill_all();
        plan_.reset();
        processes_.clear();
        locks_.clear();
        std::set<const Node*> seen;
        Random random(seed.value_or(0));
        settle(*root_, seed ? &random : nullptr, seen);
    }
    [[nodiscard]] std::vector<std::byte> content(const std::string& path) const override {
        const std::lock_guard guard(mutex_);
        const NodePtr node = find(path);
        MPITRAIN_ASSERT(node && !node->directory);
        return node->data;
    }
    void replace(const std::string& path, std::vector<std::byte> content) override {
        const std::lock_guard guard(mutex_);
        const NodePtr node = find(path);
        MPITRAIN_ASSERT(node && !node->directory);
        node->data = content;
        node->synced_data = std::move(content);
    }

    // Counts one call, gives the planned fault its turn, and runs `effect(half)` unless the fault
    // forbids it; `half` asks a write to stop midway.
    template <typename Effect>
    auto call(Process& process, std::string_view operation, const std::string& path, Effect effect)
        -> decltype(effect(false)) {
        const std::lock_guard guard(mutex_);
        ++calls_;
        if (process.dead) {
            return Error(ErrorCode::cancelled, "the process was killed").at(path);
        }
        if (!plan_ || plan_->at_call != calls_) {
            return effect(false);
        }
        if (plan_->fault == Fault::fail) {
            return system_error(plan_->errno_value, operation, path);
        }
        if (plan_->takes_effect) {
            static_cast<void>(effect(true));
        }
        process.kill();
        if (plan_->fault == Fault::kill_machine) {
            kill_all();
        }
        return Error(ErrorCode::cancelled, "the process was killed").at(path);
    }

    // The parts below are called from within an effect, with the mutex held.
    NodePtr find(std::string_view path) const {
        NodePtr node = root_;
        while (node) {
            while (path.starts_with('/')) {
                path.remove_prefix(1);
            }
            if (path.empty()) {
                return node;
            }
            const std::string_view name = path.substr(0, path.find('/'));
            path.remove_prefix(name.size());
            const auto at = node->entries.find(name);
            node = at == node->entries.end() ? nullptr : at->second;
        }
        return nullptr;
    }
    NodePtr parent(const std::string& path) const { return find(parent_path(path)); }

    bool take_lock(const std::string& path) {
        const std::lock_guard guard(mutex_);
        return locks_.insert(path).second;
    }
    void drop_lock(const std::string& path) {
        const std::lock_guard guard(mutex_);
        locks_.erase(path);
    }

  private:
    void kill_all() {
        for (const auto& process : processes_) {
            process->kill();
        }
    }

    mutable std::mutex mutex_;
    NodePtr root_ = std::make_shared<Node>(true);
    std::vector<std::shared_ptr<Process>> processes_;
    std::set<std::string> locks_;
    std::optional<FaultPlan> plan_;
    std::uint64_t calls_ = 0;
};

Result<void> MemoryFile::write(std::uint64_t offset, std::span<const std::byte> bytes) {
    return disk_.call(*process_, "write", path_, [&](bool half) -> Result<void> {
        const auto part = half ? bytes.first(bytes.size() / 2) : bytes;
        const auto at = static_cast<std::size_t>(offset);
        node_->data.resize(std::max(node_->data.size(), at + part.size()));
        std::copy(part.begin(), part.end(), node_->data.begin() + static_cast<std::ptrdiff_t>(at));
        return {};
    });
}

Result<std::size_t> MemoryFile::read(std::uint64_t offset, std::span<std::byte> bytes) {
    return disk_.call(*process_, "read", path_, [&](bool) -> Result<std::size_t> {
        const auto at = std::min(static_cast<std::size_t>(offset), node_->data.size());
        const std::size_t count = std::min(bytes.size(), node_->data.size() - at);
        std::copy_n(node_->data.begin() + static_cast<std::ptrdiff_t>(at), count, bytes.begin());
        return count;
    });
}

Result<void> MemoryFile::allocate(std::uint64_t length) {
    return disk_.call(*process_, "reserve space", path_, [&](bool) -> Result<void> {
        node_->data.resize(std::max(node_->data.size(), static_cast<std::size_t>(length)));
        return {};
    });
}

Result<void> MemoryFile::truncate(std::uint64_t length) {
    return disk_.call(*process_, "resize", path_, [&](bool) -> Result<void> {
        node_->data.resize(static_cast<std::size_t>(length));
        return {};
    });
}

Result<void> MemoryFile::sync() {
    return disk_.call(*process_, "sync", path_, [&](bool) -> Result<void> {
        node_->synced_data = node_->data;
        return {};
    });
}

Result<std::uint64_t> MemoryFile::size_bytes() {
    return disk_.call(*process_, "inspect", path_, [&](bool) -> Result<std::uint64_t> {
        return node_->data.size();
    });
}

class MemoryLock final : public FileLock {
  public:
    MemoryLock(MemoryDisk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}
    MemoryLock(const MemoryLock&) = delete;
    MemoryLock& operator=(const MemoryLock&) = delete;
    ~MemoryLock() override { disk_.drop_lock(path_); }

  private:
    MemoryDisk& disk_;
    std::string path_;
};

class MemoryFileSystem final : public FileSystem {
  public:
    MemoryFileSystem(MemoryDisk& disk, std::shared_ptr<Process> process)
        : disk_(disk), process_(std::move(process)) {}

    Result<std::unique_ptr<File>> open(const std::string& path, OpenOptions options) override {
        const bool create = options.mode != OpenMode::read;
        const bool alone = options.mode == OpenMode::create;
        return call("open", path, [&](bool) -> Result<std::unique_ptr<File>> {
            NodePtr node = disk_.find(path);
            const NodePtr parent = disk_.parent(path);
            if (alone && node) {
                return system_error(EEXIST, "create", path);
            }
            if (!parent || (!create && !node)) {
                return system_error(ENOENT, create ? "create" : "open", path);
            }
            if (!node) {
                node = std::make_shared<Node>(false);
                parent->change({{base_name(path), node}});
            }
            return std::make_unique<MemoryFile>(disk_, process_, node, path);
        });
    }

    Result<void> make_directory(const std::string& path) override {
        return call("make the directory", path, [&](bool) -> Result<void> {
            const NodePtr parent = disk_.parent(path);
            if (disk_.find(path)) {
                return system_error(EEXIST, "make the directory", path);
            }
            if (!parent) {
                return system_error(ENOENT, "make the directory", path);
            }
            parent->change({{base_name(path), std::make_shared<Node>(true)}});
            return {};
        });
    }

    Result<void> rename(const std::string& from, const std::string& to) override {
        return call("rename", from, [&](bool) -> Result<void> {
            const NodePtr node = disk_.find(from);
            const NodePtr old = disk_.find(to);
            const NodePtr source = disk_.parent(from);
            const NodePtr target = disk_.parent(to);
            if (!node || !target) {
                return system_error(ENOENT, "rename", from);
            }
            if (old && old->directory && !old->entries.empty()) {
                return system_error(ENOTEMPTY, "rename", from);
            }
            MPITRAIN_ASSERT(source == target);  // nothing here needs more
            source->change({{base_name(from), nullptr}, {base_name(to), node}});
            return {};
        });
    }

    Result<void> remove_file(const std::string& path) override { return remove(path, false); }
    Result<void> remove_directory(const std::string& path) override { return remove(path, true); }

    Result<std::vector<DirectoryEntry>> list(const std::string& path) override {
        return call("list", path, [&](bool) -> Result<std::vector<DirectoryEntry>> {
            const NodePtr node = disk_.find(path);
            if (!node || !node->directory) {
                return system_error(node ? ENOTDIR : ENOENT, "list", path);
            }
            std::vector<DirectoryEntry> entries;
            for (const auto& [name, child] : node->entries) {
                entries.push_back({name, child->directory ? FileKind::directory : FileKind::file});
            }
            return entries;
        });
    }

    Result<FileStatus> status(const std::string& path) override {
        return call("inspect", path, [&](bool) -> Result<FileStatus> {
            const NodePtr node = disk_.find(path);
            if (!node) {
                return system_error(ENOENT, "inspect", path);
            }
            return FileStatus{
                node->directory ? FileKind::directory : FileKind::file, node->data.size(), {}};
        });
    }

    Result<void> sync_directory(const std::string& path) override {
        return call("sync", path, [&](bool) -> Result<void> {
            const NodePtr node = disk_.find(path);
            if (!node) {
                return system_error(ENOENT, "sync", path);
            }
            node->synced_entries = node->entries;
            node->unsynced.clear();
            return {};
        });
    }

    Result<std::unique_ptr<FileLock>> lock(const std::string& path,
                                           std::chrono::milliseconds deadline) override {
        MPITRAIN_TRY_VOID(call("lock", path, [&](bool) -> Result<void> {
            if (!disk_.parent(path)) {
                return system_error(ENOENT, "lock", path);
            }
            return {};
        }));
        const auto until = std::chrono::steady_clock::now() + deadline;
        while (!disk_.take_lock(path)) {
            if (std::chrono::steady_clock::now() >= until) {
                return Error(ErrorCode::deadline_exceeded, "another process holds the lock")
                    .at(path);
            }
            std::this_thread::yield();
        }
        return std::make_unique<MemoryLock>(disk_, path);
    }

  private:
    template <typename Effect>
    auto call(std::string_view operation, const std::string& path, Effect effect)
        -> decltype(effect(false)) {
        return disk_.call(*process_, operation, path, effect);
    }

    Result<void> remove(const std::string& path, bool directory) {
        return call("remove", path, [&](bool) -> Result<void> {
            const NodePtr node = disk_.find(path);
            if (!node) {
                return system_error(ENOENT, "remove", path);
            }
            if (node->directory != directory) {
                return system_error(directory ? ENOTDIR : EISDIR, "remove", path);
            }
            if (!node->entries.empty()) {
                return system_error(ENOTEMPTY, "remove", path);
            }
            disk_.parent(path)->change({{base_name(path), nullptr}});
            return {};
        });
    }

    MemoryDisk& disk_;
    std::shared_ptr<Process> process_;
};

std::unique_ptr<FileSystem> MemoryDisk::mount(std::function<void()> on_killed) {
    auto process = std::make_shared<Process>();
    process->on_killed = std::move(on_killed);
    const std::lock_guard guard(mutex_);
    processes_.push_back(process);
    return std::make_unique<MemoryFileSystem>(*this, std::move(process));
}

}  // namespace

std::unique_ptr<Disk> make_disk() {
    return std::make_unique<MemoryDisk>();
}

}  // namespace mpitrain::fake
