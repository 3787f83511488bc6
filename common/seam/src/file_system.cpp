#include "mpitrain/seam/file_system.hpp"

#include <fmt/format.h>

namespace mpitrain {

std::string join_path(std::string_view directory, std::string_view name) {
    const std::string_view separator = directory.ends_with('/') ? "" : "/";
    return fmt::format("{}{}{}", directory, separator, name);
}

namespace {

std::string_view without_trailing_slashes(std::string_view path) {
    while (path.size() > 1 && path.ends_with('/')) {
        path.remove_suffix(1);
    }
    return path;
}

}  // namespace

std::string parent_path(std::string_view path) {
    path = without_trailing_slashes(path);
    const std::size_t slash = path.rfind('/');
    if (slash == std::string_view::npos) {
        return ".";
    }
    return std::string(slash == 0 ? "/" : path.substr(0, slash));
}

std::string base_name(std::string_view path) {
    path = without_trailing_slashes(path);
    const std::size_t slash = path.rfind('/');
    return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

Result<std::string> read_small_file(FileSystem& files,
                                    const std::string& path,
                                    std::uint64_t limit_bytes) {
    MPITRAIN_TRY(const auto file, files.open(path, {}));
    MPITRAIN_TRY(const std::uint64_t size, file->size_bytes());
    if (size > limit_bytes) {
        return Error(ErrorCode::invalid_argument,
                     fmt::format("the file has {} bytes, more than {}", size, limit_bytes))
            .at(path);
    }
    std::string text(static_cast<std::size_t>(size), '\0');
    MPITRAIN_TRY(const std::size_t got, file->read(0, std::as_writable_bytes(std::span(text))));
    text.resize(got);
    return text;
}

Result<void> write_new_file(FileSystem& files, const std::string& path, std::string_view text) {
    MPITRAIN_TRY(const auto file, files.open(path, {.mode = OpenMode::create}));
    MPITRAIN_TRY_VOID(file->write(0, std::as_bytes(std::span(text))));
    return file->sync();
}

Result<void> remove_tree(FileSystem& files, const std::string& path) {
    const auto forgiven = [](Result<void> result) -> Result<void> {
        if (!result && result.error().code() == ErrorCode::not_found) {
            return {};
        }
        return result;
    };
    auto entries = files.list(path);
    if (!entries) {
        return forgiven(Error(std::move(entries).error()));
    }
    for (const DirectoryEntry& entry : *entries) {
        const std::string child = join_path(path, entry.name);
        MPITRAIN_TRY_VOID(entry.kind == FileKind::directory ? remove_tree(files, child)
                                                            : forgiven(files.remove_file(child)));
    }
    return forgiven(files.remove_directory(path));
}

}  // namespace mpitrain
