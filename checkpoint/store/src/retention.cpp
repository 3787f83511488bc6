#include "mpitrain/checkpoint/retention.hpp"

#include <optional>
#include <set>

#include "mpitrain/checkpoint/catalog.hpp"
#include "mpitrain/checkpoint/names.hpp"

namespace mpitrain::checkpoint {

Result<void> remove_commit(FileSystem& files, const std::string& path, std::string_view token) {
    const std::string directory = parent_path(path);
    const auto step = parse_step_directory(base_name(path));
    if (!step) {
        return Error(ErrorCode::invalid_argument, "this is no commit").at(path);
    }
    const std::string gone = join_path(directory, leftover_directory(*step, Leftover::gone, token));
    MPITRAIN_TRY_VOID(files.rename(path, gone));
    MPITRAIN_TRY_VOID(files.sync_directory(directory));
    return remove_tree(files, gone);
}

namespace {

// The commits that stay for their age, of `commits`, newest first.
Result<std::set<std::uint64_t>> kept_by_age(FileSystem& files,
                                            const std::vector<CommitDirectory>& commits,
                                            std::chrono::seconds interval) {
    std::set<std::uint64_t> kept;
    std::optional<std::chrono::system_clock::time_point> before;
    if (interval.count() == 0) {
        return kept;
    }
    for (auto commit = commits.rbegin(); commit != commits.rend(); ++commit) {
        const auto status = files.status(join_path(commit->path, manifest_name));
        if (!status) {
            continue;  // without a manifest it is no good commit
        }
        if (!before || status->modified - *before >= interval) {
            before = status->modified;
            kept.insert(commit->step);
        }
    }
    return kept;
}

}  // namespace

Result<std::vector<std::string>> apply_retention(FileSystem& files,
                                                 const std::string& directory,
                                                 const Retention& keep,
                                                 std::uint64_t newest,
                                                 std::string_view token) {
    std::vector<std::string> removed;
    if (keep.last == 0) {
        return removed;
    }
    MPITRAIN_TRY(const auto commits, list_commits(files, directory));
    MPITRAIN_TRY(const auto for_age, kept_by_age(files, commits, keep.interval));
    std::uint32_t kept = 0;
    for (const CommitDirectory& commit : commits) {
        const bool is_kept = commit.step > newest || kept++ < keep.last ||
                             (keep.every > 0 && commit.step % keep.every == 0) ||
                             for_age.contains(commit.step);
        if (is_kept) {
            continue;
        }
        MPITRAIN_TRY_VOID(remove_commit(files, commit.path, token));
        removed.push_back(commit.path);
    }
    return removed;
}

Result<std::vector<std::string>> list_leftovers(FileSystem& files, const std::string& directory) {
    MPITRAIN_TRY(const auto entries, files.list(directory));
    std::vector<std::string> leftovers;
    for (const DirectoryEntry& entry : entries) {
        if (is_leftover(entry.name)) {
            leftovers.push_back(join_path(directory, entry.name));
        }
    }
    return leftovers;
}

Result<void> remove_leftovers(FileSystem& files,
                              const std::string& directory,
                              std::string_view spared) {
    MPITRAIN_TRY(const auto leftovers, list_leftovers(files, directory));
    for (const std::string& leftover : leftovers) {
        if (leftover != spared) {
            MPITRAIN_TRY_VOID(remove_tree(files, leftover));
        }
    }
    return {};
}

Result<Prunable> list_prunable(FileSystem& files,
                               const std::string& directory,
                               std::uint64_t keep_good) {
    MPITRAIN_TRY(const auto commits, list_commits(files, directory));
    Prunable what;
    std::uint64_t good = 0;
    for (const CommitDirectory& commit : commits) {
        if (good >= keep_good) {
            what.commits.push_back(commit.path);
        } else if (read_manifest(files, commit.path)) {
            ++good;
        }
    }
    MPITRAIN_TRY(what.leftovers, list_leftovers(files, directory));
    return what;
}

Result<void> prune(FileSystem& files,
                   const std::string& directory,
                   const Prunable& what,
                   Lease& lease,
                   std::string_view token) {
    MPITRAIN_TRY_VOID(lease.acquire());
    const auto work = [&]() -> Result<void> {
        for (const std::string& path : what.commits) {
            MPITRAIN_TRY_VOID(remove_commit(files, path, token));
        }
        return remove_leftovers(files, directory);
    };
    auto done = work();
    auto released = lease.release();
    return done ? released : done;
}

}  // namespace mpitrain::checkpoint
