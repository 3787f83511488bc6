#include "ckpt.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "mpitrain/checkpoint/box.hpp"
#include "mpitrain/checkpoint/read_plan.hpp"
#include "mpitrain/posix/file_system.hpp"

namespace mpitrain::checkpoint::tool {

std::unique_ptr<FileSystem> open_files() {
    return posix::make_file_system();
}

Result<std::vector<std::string>> plain_words(const cli::Invocation& invocation, std::size_t count) {
    const std::vector<std::string>& rest = invocation.line.rest;
    if (rest.size() != count) {
        return Error(ErrorCode::invalid_argument,
                     fmt::format(
                         "{} is wanted, {} words are given", invocation.command.usage, rest.size()))
            .mend(fmt::format("for example: {}", invocation.command.example));
    }
    return rest;
}

int refuse(cli::Terminal& terminal, const Error& error) {
    const int code = cli::fail(terminal, error);
    switch (error.code()) {
        case ErrorCode::not_found:
        case ErrorCode::already_exists:
        case ErrorCode::data_loss:
        case ErrorCode::unsupported:
            return 2;
        default:
            return code;
    }
}

Result<std::string> commit_at(FileSystem& files, const std::string& path) {
    if (files.status(join_path(path, manifest_name))) {
        return path;
    }
    MPITRAIN_TRY(const auto newest, find_last_good(files, path));
    if (!newest) {
        return Error(ErrorCode::not_found, "no good checkpoint here")
            .at(path)
            .mend("name a checkpoint directory, or a step-<n> in one");
    }
    return newest->path;
}

Progress progress_on_terminal(const cli::Terminal& terminal) {
    if (terminal.format() == cli::Format::quiet || ::isatty(STDERR_FILENO) == 0) {
        return {};
    }
    return [](std::uint64_t done, std::uint64_t total) {
        const bool over = done >= total;
        std::fprintf(stderr,
                     "\r%3.0f %%%s",
                     100.0 * static_cast<double>(done) /
                         static_cast<double>(std::max<std::uint64_t>(total, 1)),
                     over ? "\r      \r" : "");
    };
}

std::vector<Block> parts_of(const StoredTensor& tensor) {
    constexpr std::uint64_t part_bytes = 64 * 1024 * 1024;
    const std::uint64_t total = *element_count(tensor.shape) * size_bytes(tensor.dtype);
    if (total == 0) {
        return {};
    }
    const Block whole{std::vector<std::uint64_t>(tensor.shape.size(), 0), tensor.shape};
    return split(whole, (total + part_bytes - 1) / part_bytes);
}

Result<void> read_part(ShardReader& reader,
                       const Manifest& manifest,
                       const StoredTensor& tensor,
                       const Block& part,
                       std::vector<std::byte>& bytes) {
    bytes.resize(static_cast<std::size_t>(*element_count(part.extent) * size_bytes(tensor.dtype)));
    const TensorSpec wanted{tensor.name, tensor.dtype, tensor.shape, part};
    MPITRAIN_TRY(const ReadPlan plan, plan_read(manifest, std::span(&wanted, 1)));
    std::byte* const target = bytes.data();
    return reader.read(plan, {.memory = std::span(&target, 1)});
}

}  // namespace mpitrain::checkpoint::tool
