#include "shard_image.hpp"

#include <algorithm>
#include <utility>

#include "memory_file.hpp"
#include "types.hpp"
#include "view.hpp"

namespace mpitrain::checkpoint::hdf5 {
namespace {

constexpr std::uint64_t page = 4096;
constexpr const char* table_path = "/_mpt/crc32c";

std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
    return (value + unit - 1) / unit * unit;
}

std::uint64_t size_of(const DatasetPlan& dataset) {
    return *element_count(dataset.shape) * size_bytes(dataset.dtype);
}

// A contiguous dataset whose space is there at once, unfilled, so that its bytes can be put in its
// place without the library.
Result<Handle> contiguous_properties() {
    MPITRAIN_TRY(Handle create, property_list(H5P_DATASET_CREATE));
    const char* what = "set how a dataset is laid out";
    MPITRAIN_TRY_VOID(done(H5Pset_layout(create.get(), H5D_CONTIGUOUS), what));
    MPITRAIN_TRY_VOID(done(H5Pset_alloc_time(create.get(), H5D_ALLOC_TIME_EARLY), what));
    MPITRAIN_TRY_VOID(done(H5Pset_fill_time(create.get(), H5D_FILL_TIME_NEVER), what));
    MPITRAIN_TRY_VOID(done(H5Pset_obj_track_times(create.get(), false), what));
    return create;
}

// What all datasets of one file are made with.
struct Maker {
    Handle file;
    Handle links;
    Handle create;
    Groups groups{};

    // Makes a dataset and gives its place in the file.
    Result<std::uint64_t> make(const DatasetPlan& dataset) {
        MPITRAIN_TRY_VOID(groups.make(file, links, dataset.path));
        MPITRAIN_TRY(const Handle type, file_type(dataset.dtype));
        MPITRAIN_TRY(const Handle space, dataspace(dataset.shape));
        MPITRAIN_TRY(const Handle made,
                     opened(H5Dcreate2(file.get(),
                                       dataset.path.c_str(),
                                       type.get(),
                                       space.get(),
                                       links.get(),
                                       create.get(),
                                       H5P_DEFAULT),
                            &H5Dclose,
                            "make dataset " + dataset.path));
        if (dataset.dtype == DType::float8_e4m3fn) {
            MPITRAIN_TRY_VOID(
                write_text_attribute(made, "mpt.dtype", std::string(to_string(dataset.dtype))));
        }
        const haddr_t offset = H5Dget_offset(made.get());
        if (offset == HADDR_UNDEF) {
            return failure("tell where dataset " + dataset.path + " lies");
        }
        return offset;
    }
};

// Everything between the datasets, which is the library's own.
std::vector<Extent> metadata_of(const MemoryFile& memory,
                                std::vector<std::pair<std::uint64_t, std::uint64_t>> data) {
    std::sort(data.begin(), data.end());
    data.emplace_back(memory.size_bytes(), 0);
    std::vector<Extent> extents;
    std::uint64_t at = 0;
    for (const auto& [offset, size] : data) {
        for (Extent& extent : memory.written(at, offset)) {
            extents.push_back(std::move(extent));
        }
        at = std::max(at, offset + size);
    }
    return extents;
}

// How a file is laid out, besides its datasets.
struct Outline {
    std::uint64_t metadata_bytes = 0;
    std::uint64_t border_bytes = page;
    std::uint64_t table_bytes = 0;
    // What is in the file but has no bytes of its own: made last, so that it moves nothing.
    std::span<const ViewTensor> virtuals{};
    const Attributes* attributes = nullptr;
};

Result<ShardImage> lay_out(std::span<const DatasetPlan> datasets, const Outline& outline) {
    MemoryFile memory;
    MPITRAIN_TRY(Handle file, create_file(memory, outline.metadata_bytes, outline.border_bytes));
    MPITRAIN_TRY(Handle links, link_properties());
    MPITRAIN_TRY(Handle create, contiguous_properties());
    Maker maker{std::move(file), std::move(links), std::move(create)};
    ShardImage image;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> data;
    for (const DatasetPlan& dataset : datasets) {
        MPITRAIN_TRY(const std::uint64_t offset, maker.make(dataset));
        image.dataset_offsets.push_back(offset);
        data.emplace_back(offset, size_of(dataset));
    }
    image.table_bytes = outline.table_bytes;
    if (image.table_bytes > 0) {
        MPITRAIN_TRY(image.table_offset,
                     maker.make({table_path, DType::uint32, {image.table_bytes / 4}}));
        data.emplace_back(image.table_offset, image.table_bytes);
    }
    MPITRAIN_TRY_VOID(add_tensors(maker.file, maker.links, maker.groups, outline.virtuals));
    if (outline.attributes != nullptr) {
        MPITRAIN_TRY_VOID(add_attributes(maker.file, *outline.attributes));
    }
    MPITRAIN_TRY_VOID(maker.file.close("close the file"));
    image.size_bytes = memory.size_bytes();
    image.metadata = metadata_of(memory, std::move(data));
    return image;
}

// Whether the table has room for every block of the file.
bool has_room(const ShardImage& image, std::uint32_t block_bytes) {
    const std::uint64_t blocks = (image.size_bytes + block_bytes - 1) / block_bytes;
    return blocks * 4 <= image.table_bytes && image.table_offset % page == 0;
}

// The table is in the file whose blocks it counts, and what the library adds is not known before:
// guess, look, and guess again in the rare case. `spare_bytes` of the file may come to be later.
Result<ShardImage> lay_out_with_table(std::span<const DatasetPlan> datasets,
                                      std::uint32_t block_bytes,
                                      std::uint64_t spare_bytes,
                                      Outline& outline) {
    std::uint64_t bytes = 0;
    outline.metadata_bytes = 4096;
    for (const DatasetPlan& dataset : datasets) {
        bytes += round_up(size_of(dataset), outline.border_bytes);
        outline.metadata_bytes += 512 + dataset.path.size();
    }
    outline.metadata_bytes = round_up(outline.metadata_bytes, page);
    if (block_bytes == 0) {
        return lay_out(datasets, outline);
    }
    std::uint64_t file_bytes = bytes + 2 * outline.metadata_bytes + spare_bytes;
    for (int attempt = 0; attempt < 4; ++attempt) {
        outline.table_bytes = round_up((file_bytes / block_bytes + 2) * 4, page);
        MPITRAIN_TRY(ShardImage image, lay_out(datasets, outline));
        if (has_room(image, block_bytes)) {
            return image;
        }
        file_bytes = image.size_bytes + outline.table_bytes + spare_bytes;
    }
    return Error(ErrorCode::internal, "the checksum table finds no place in the shard file");
}

// Whether the library has put bytes of its own where a rank writes its blocks.
bool is_in_the_way(const ShardImage& image, std::span<const DatasetPlan> datasets) {
    for (std::size_t i = 0; i < datasets.size(); ++i) {
        const std::uint64_t begin = image.dataset_offsets[i];
        const std::uint64_t end = round_up(begin + size_of(datasets[i]), rank_border_bytes);
        const auto after = std::lower_bound(image.metadata.begin(),
                                            image.metadata.end(),
                                            begin,
                                            [](const Extent& extent, std::uint64_t at) {
                                                return extent.offset + extent.bytes.size() <= at;
                                            });
        if (begin % rank_border_bytes != 0 ||
            (after != image.metadata.end() && after->offset < end)) {
            return true;
        }
    }
    return false;
}

}  // namespace

Result<ShardImage> make_shard_image(std::span<const DatasetPlan> datasets,
                                    std::uint32_t block_bytes) {
    Outline outline;
    return lay_out_with_table(datasets, block_bytes, 0, outline);
}

Result<ShardImage> make_shared_image(std::span<const DatasetPlan> datasets,
                                     std::uint32_t block_bytes,
                                     std::span<const ViewTensor> virtuals,
                                     const Attributes& attributes) {
    constexpr std::uint64_t spare_bytes = std::uint64_t{16} << 20U;
    Outline outline{.border_bytes = rank_border_bytes};
    MPITRAIN_TRY(ShardImage plain, lay_out_with_table(datasets, block_bytes, spare_bytes, outline));
    if (!virtuals.empty() || !attributes.empty()) {
        const auto offsets = std::move(plain.dataset_offsets);
        outline.virtuals = virtuals;
        outline.attributes = &attributes;
        MPITRAIN_TRY(plain, lay_out(datasets, outline));
        if (!has_room(plain, block_bytes)) {
            return Error(ErrorCode::invalid_argument, "the attributes take more than 16 MiB")
                .mend("keep them as a tensor or a blob");
        }
        if (plain.dataset_offsets != offsets) {
            return Error(ErrorCode::internal, "attributes have moved the datasets of a file");
        }
    }
    if (is_in_the_way(plain, datasets)) {
        return Error(ErrorCode::internal, "the HDF5 library has written where a rank writes");
    }
    return plain;
}

}  // namespace mpitrain::checkpoint::hdf5
