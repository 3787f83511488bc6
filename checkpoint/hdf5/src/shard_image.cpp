#include "shard_image.hpp"

#include <algorithm>
#include <utility>

#include "memory_file.hpp"
#include "types.hpp"

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

Result<ShardImage> lay_out(std::span<const DatasetPlan> datasets,
                           std::uint64_t metadata_bytes,
                           std::uint64_t table_bytes) {
    MemoryFile memory;
    MPITRAIN_TRY(Handle file, create_file(memory, metadata_bytes));
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
    image.table_bytes = table_bytes;
    if (table_bytes > 0) {
        MPITRAIN_TRY(image.table_offset,
                     maker.make({table_path, DType::uint32, {table_bytes / 4}}));
        data.emplace_back(image.table_offset, table_bytes);
    }
    MPITRAIN_TRY_VOID(maker.file.close("close the file"));
    image.size_bytes = memory.size_bytes();
    image.metadata = metadata_of(memory, std::move(data));
    return image;
}

}  // namespace

Result<ShardImage> make_shard_image(std::span<const DatasetPlan> datasets,
                                    std::uint32_t block_bytes) {
    std::uint64_t bytes = 0;
    std::uint64_t metadata_bytes = 4096;
    for (const DatasetPlan& dataset : datasets) {
        bytes += round_up(size_of(dataset), page);
        metadata_bytes += 512 + dataset.path.size();
    }
    metadata_bytes = round_up(metadata_bytes, page);
    if (block_bytes == 0) {
        return lay_out(datasets, metadata_bytes, 0);
    }
    // The table is in the file whose blocks it counts, and what the library adds is not known
    // before: guess, look, and guess again in the rare case.
    std::uint64_t file_bytes = bytes + 2 * metadata_bytes;
    for (int attempt = 0; attempt < 4; ++attempt) {
        const std::uint64_t table_bytes = round_up((file_bytes / block_bytes + 2) * 4, page);
        MPITRAIN_TRY(ShardImage image, lay_out(datasets, metadata_bytes, table_bytes));
        const std::uint64_t blocks = (image.size_bytes + block_bytes - 1) / block_bytes;
        if (blocks * 4 <= table_bytes && image.table_offset % page == 0) {
            return image;
        }
        file_bytes = image.size_bytes + table_bytes;
    }
    return Error(ErrorCode::internal, "the checksum table finds no place in the shard file");
}

}  // namespace mpitrain::checkpoint::hdf5
