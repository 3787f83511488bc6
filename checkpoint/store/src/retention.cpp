#include "mpitrain/checkpoint/retention.hpp"

#include <algorithm>

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

Result<std::vector<std::string>> keep_newest(FileSystem& files,
                                             const std::string& directory,
                                             std::uint32_t keep_last,
                                             std::uint64_t newest,
                                             std::string_view token) {
    MPITRAIN_TRY(const auto commits, list_commits(files, directory));
    std::vector<std::string> removed;
    std::uint32_t kept = 0;
    for (const CommitDirectory& commit : commits) {
        if (commit.step > newest || kept++ < std::max<std::uint32_t>(keep_last, 1)) {
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

Result<void> remove_leftovers(FileSystem& files, const std::string& directory) {
    MPITRAIN_TRY(const auto leftovers, list_leftovers(files, directory));
    for (const std::string& leftover : leftovers) {
        MPITRAIN_TRY_VOID(remove_tree(files, leftover));
    }
    return {};
}

}  // namespace mpitrain::checkpoint
