#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <numeric>

#include "ckpt.hpp"
#include "mpitrain/checkpoint/hdf5_container.hpp"
#include "mpitrain/checkpoint/safetensors.hpp"

namespace mpitrain::checkpoint::tool {
namespace {

using Json = nlohmann::ordered_json;

constexpr settings::Option options_table[] = {
    {.name = "format",
     .value = "hdf5|safetensors",
     .summary = "what to write",
     .fallback = "by the file's ending",
     .choices = "hdf5|safetensors",
     .heading = "Options of ckpt export"},
};

// The bytes around the tensors, and where each tensor goes.
struct Layout {
    std::uint64_t size_bytes = 0;
    std::vector<Extent> own;
    std::vector<std::uint64_t> offsets;  // beside the manifest's tensors
};

Result<Layout> hdf5_layout(const Manifest& manifest) {
    std::vector<DatasetPlan> datasets;
    for (const StoredTensor& tensor : manifest.tensors) {
        datasets.push_back({"/" + tensor.name, tensor.dtype, tensor.shape});
    }
    MPITRAIN_TRY(ShardImage image, make_hdf5_container()->shard(datasets, 0));
    return Layout{image.size_bytes, std::move(image.metadata), std::move(image.dataset_offsets)};
}

// The tensors of large elements come first, so that each is aligned to its own.
Layout safetensors_layout(const Manifest& manifest) {
    std::vector<std::size_t> order(manifest.tensors.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return size_bytes(manifest.tensors[a].dtype) > size_bytes(manifest.tensors[b].dtype);
    });
    SafetensorsHeader header{
        .tensors = {}, .metadata = {{"format", "pt"}, {"step", fmt::format("{}", manifest.step)}}};
    Layout layout;
    layout.offsets.resize(manifest.tensors.size());
    std::uint64_t at = 0;
    for (const std::size_t index : order) {
        const StoredTensor& tensor = manifest.tensors[index];
        const std::uint64_t bytes = *element_count(tensor.shape) * size_bytes(tensor.dtype);
        header.tensors.push_back({tensor.name, tensor.dtype, tensor.shape, at, bytes});
        layout.offsets[index] = at;
        at += bytes;
    }
    const std::string text = encode_safetensors(header);
    const auto bytes = std::as_bytes(std::span(text));
    for (std::uint64_t& offset : layout.offsets) {
        offset += bytes.size();
    }
    layout.size_bytes = at + bytes.size();
    layout.own.push_back({0, {bytes.begin(), bytes.end()}});
    return layout;
}

Result<Layout> layout_for(const cli::Invocation& invocation,
                          const Manifest& manifest,
                          const std::string& file) {
    std::string format = invocation.value("format");
    if (format.empty()) {
        format = file.ends_with(".safetensors")                     ? "safetensors"
                 : file.ends_with(".h5") || file.ends_with(".hdf5") ? "hdf5"
                                                                    : "";
    }
    if (format == "safetensors") {
        return safetensors_layout(manifest);
    }
    if (format == "hdf5") {
        return hdf5_layout(manifest);
    }
    return Error(ErrorCode::invalid_argument, "the file's ending names no format")
        .at(file)
        .mend("end it in .h5 or .safetensors, or say --format");
}

Result<void> write_tensors(File& file,
                           const Layout& layout,
                           const Manifest& manifest,
                           ShardReader& reader,
                           const Progress& progress) {
    std::uint64_t done = 0;
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i < manifest.tensors.size(); ++i) {
        const StoredTensor& tensor = manifest.tensors[i];
        std::uint64_t at = layout.offsets[i];
        for (const Block& part : parts_of(tensor)) {
            MPITRAIN_TRY_VOID(read_part(reader, manifest, tensor, part, bytes));
            MPITRAIN_TRY_VOID(file.write(at, bytes));
            at += bytes.size();
            done += bytes.size();
            if (progress) {
                progress(done, layout.size_bytes);
            }
        }
    }
    if (progress) {
        progress(layout.size_bytes, layout.size_bytes);
    }
    return {};
}

Result<void> write_file(FileSystem& files,
                        const std::string& path,
                        const Layout& layout,
                        const Manifest& manifest,
                        ShardReader& reader,
                        const Progress& progress) {
    MPITRAIN_TRY(const auto file, files.open(path, {.mode = OpenMode::create}));
    const auto fill = [&]() -> Result<void> {
        MPITRAIN_TRY_VOID(file->allocate(layout.size_bytes));
        for (const Extent& extent : layout.own) {
            MPITRAIN_TRY_VOID(file->write(extent.offset, extent.bytes));
        }
        MPITRAIN_TRY_VOID(write_tensors(*file, layout, manifest, reader, progress));
        return file->sync();
    };
    auto filled = fill();
    if (!filled) {
        static_cast<void>(files.remove_file(path));
        return filled;
    }
    return files.sync_directory(parent_path(path));
}

Result<void> export_commit(cli::Invocation& invocation) {
    MPITRAIN_TRY(const auto words, plain_words(invocation, 2));
    const auto files = open_files();
    MPITRAIN_TRY(const std::string path, commit_at(*files, words[0]));
    MPITRAIN_TRY(const Manifest manifest, read_manifest(*files, path));
    MPITRAIN_TRY(const Layout layout, layout_for(invocation, manifest, words[1]));
    const Staging staging;
    ShardReader reader(*files, path, manifest, staging);
    MPITRAIN_TRY_VOID(write_file(
        *files, words[1], layout, manifest, reader, progress_on_terminal(invocation.terminal)));
    if (invocation.terminal.format() == cli::Format::json) {
        const Json json = {{"schema", schema},
                           {"file", words[1]},
                           {"step", manifest.step},
                           {"bytes", layout.size_bytes}};
        invocation.terminal.print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    } else if (invocation.terminal.format() == cli::Format::table) {
        invocation.terminal.print(
            fmt::format("{}: step {}, {} bytes\n", words[1], manifest.step, layout.size_bytes));
    }
    return {};
}

int run_export(cli::Invocation& invocation) {
    const auto done = export_commit(invocation);
    return done ? 0 : refuse(invocation.terminal, done.error());
}

}  // namespace

constinit const cli::Command export_command{
    .name = "ckpt export",
    .summary = "write a checkpoint's tensors into one file for other tools",
    .usage = "DIR FILE",
    .description =
        "A plain HDF5 file (.h5) or a safetensors file, with every tensor whole. An existing file "
        "is never overwritten.",
    .example = "mpitrain ckpt export ./checkpoints model.safetensors",
    .options = options_table,
    .takes_words = true,
    .run = run_export,
};

}  // namespace mpitrain::checkpoint::tool
