#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <random>

#include "ckpt.hpp"
#include "counted_files.hpp"
#include "mapped_file.hpp"
#include "mpitrain/base/bytes.hpp"
#include "mpitrain/base/number.hpp"
#include "mpitrain/checkpoint/hdf5_container.hpp"
#include "mpitrain/checkpoint/safetensors.hpp"
#include "mpitrain/checkpoint/saver.hpp"

namespace mpitrain::checkpoint::tool {
namespace {

using Json = nlohmann::json;

constexpr settings::Option options_table[] = {
    {.name = "step",
     .value = "N",
     .summary = "the step that the checkpoint is of",
     .fallback = "0",
     .heading = "Options of ckpt import"},
    {.name = "model",
     .value = "NAME",
     .summary = "the model that the checkpoint names",
     .heading = "Options of ckpt import"},
};

std::string fresh_token() {
    std::random_device device;
    return fmt::format("{:08x}{:08x}{:08x}", device(), device(), device());
}

// A safetensors file, its header read and checked.
struct Source {
    MappedFile file;
    SafetensorsHeader header;
    std::uint64_t data_offset = 0;
};

Result<Source> open_source(const std::string& path) {
    const auto read = [&]() -> Result<Source> {
        MPITRAIN_TRY(MappedFile file, MappedFile::open(path));
        const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()),
                                    file.bytes().size());
        MPITRAIN_TRY(
            const std::uint64_t length,
            safetensors_header_bytes(text.substr(0, safetensors_prefix_bytes), text.size()));
        const std::uint64_t data_offset = safetensors_prefix_bytes + length;
        MPITRAIN_TRY(SafetensorsHeader header,
                     decode_safetensors(text.substr(safetensors_prefix_bytes, length),
                                        text.size() - data_offset));
        return Source{std::move(file), std::move(header), data_offset};
    };
    auto source = read();
    if (!source) {
        Error error = std::move(source).error();
        const bool is_named = error.where().starts_with(path);
        return is_named ? error : Error(std::move(error).at(path));
    }
    return source;
}

SaveInput input_of(const Source& source, std::uint64_t step) {
    auto contribution = std::make_shared<Contribution>();
    SaveInput input{.step = step, .contribution = {}, .tensors = {}, .blobs = {}, .attributes = {}};
    for (const SafetensorsTensor& tensor : source.header.tensors) {
        contribution->tensors.push_back({tensor.name, tensor.dtype, tensor.shape, {}});
        input.tensors.push_back(source.file.bytes().data() + source.data_offset + tensor.offset);
    }
    for (const auto& [name, value] : source.header.metadata) {
        input.attributes[name] = value;
    }
    input.contribution = std::move(contribution);
    return input;
}

Result<void> make_directory(FileSystem& files, const std::string& path) {
    const auto made = files.make_directory(path);
    if (made) {
        return files.sync_directory(parent_path(path));
    }
    return made.error().code() == ErrorCode::already_exists ? Result<void>() : made;
}

Result<Committed> commit(FileSystem& files,
                         const std::string& directory,
                         const std::string& model,
                         const SaveInput& input) {
    MPITRAIN_TRY_VOID(make_directory(files, directory));
    const auto container = make_hdf5_container();
    const auto alone = single_peer();
    const Staging staging;
    const auto saver = make_saver({files,
                                   *container,
                                   *alone,
                                   staging,
                                   [] { return std::chrono::system_clock::now(); },
                                   fresh_token,
                                   this_process("", 0),
                                   is_known_dead},
                                  {.directory = directory, .model = model, .keep = {.last = 0}});
    auto committed = saver->save(input);
    const auto released = saver->release();
    return committed && !released ? Result<Committed>(released.error()) : committed;
}

Result<std::uint64_t> step_of(const cli::Invocation& invocation) {
    const std::string text = invocation.value("step");
    auto step = text.empty() ? Result<std::int64_t>(0) : parse_integer(text, 0, INT64_MAX);
    if (!step) {
        return Error(Error(std::move(step).error()).at("--step"));
    }
    return static_cast<std::uint64_t>(*step);
}

void print(cli::Terminal& terminal, const Committed& committed, std::size_t tensors) {
    switch (terminal.format()) {
        case cli::Format::json: {
            const Json json = {{"schema", schema},
                               {"path", committed.path},
                               {"step", committed.step},
                               {"tensors", tensors},
                               {"bytes", committed.size_bytes}};
            terminal.print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
            return;
        }
        case cli::Format::table:
            terminal.print(fmt::format("{}: {} tensors, {}\n",
                                       committed.path,
                                       tensors,
                                       Bytes(committed.size_bytes).to_string()));
            return;
        case cli::Format::quiet:
            terminal.print(committed.path + "\n");
    }
}

Result<void> import_file(cli::Invocation& invocation) {
    MPITRAIN_TRY(const auto words, plain_words(invocation, 2));
    MPITRAIN_TRY(const std::uint64_t step, step_of(invocation));
    MPITRAIN_TRY(const Source source, open_source(words[0]));
    const auto files = open_files();
    const Progress progress = progress_on_terminal(invocation.terminal);
    const auto counted = count_written(*files, progress, source.file.bytes().size());
    MPITRAIN_TRY(const Committed committed,
                 commit(*counted, words[1], invocation.value("model"), input_of(source, step)));
    print(invocation.terminal, committed, source.header.tensors.size());
    return {};
}

int run_import(cli::Invocation& invocation) {
    const auto done = import_file(invocation);
    return done ? 0 : refuse(invocation.terminal, done.error());
}

}  // namespace

constinit const cli::Command import_command{
    .name = "ckpt import",
    .summary = "make a checkpoint of a safetensors file",
    .usage = "FILE DIR",
    .description =
        "Commits every tensor of FILE, bit for bit, as a step of DIR, which is made if it is "
        "missing; the file's metadata become attributes. A header that is not whole and right is "
        "refused, and so is a step that is there already.",
    .example = "mpitrain ckpt import model.safetensors ./checkpoints --step 1000",
    .options = options_table,
    .takes_words = true,
    .run = run_import,
};

}  // namespace mpitrain::checkpoint::tool
