#include "memory_file.hpp"

#include <algorithm>
#include <cstring>

#include "memory_driver.hpp"

namespace mpitrain::checkpoint::hdf5 {
namespace {

// Calls `visit(page number, offset in the page, offset in the range, count)` page by page.
template <typename Visit>
void for_each_page(std::uint64_t offset, std::size_t size, Visit visit) {
    std::size_t done = 0;
    while (done < size) {
        const std::uint64_t at = offset + done;
        const auto within = static_cast<std::size_t>(at % MemoryFile::page_bytes);
        const std::size_t count = std::min(MemoryFile::page_bytes - within, size - done);
        visit(at / MemoryFile::page_bytes, within, done, count);
        done += count;
    }
}

}  // namespace

void MemoryFile::write(std::uint64_t offset, std::span<const std::byte> bytes) {
    for_each_page(offset, bytes.size(), [&](auto page, auto within, auto done, auto count) {
        std::memcpy(pages_[page].data() + within, bytes.data() + done, count);
    });
    size_bytes_ = std::max(size_bytes_, offset + bytes.size());
}

void MemoryFile::read(std::uint64_t offset, std::span<std::byte> bytes) const {
    for_each_page(offset, bytes.size(), [&](auto page, auto within, auto done, auto count) {
        const auto at = pages_.find(page);
        if (at == pages_.end()) {
            std::memset(bytes.data() + done, 0, count);
        } else {
            std::memcpy(bytes.data() + done, at->second.data() + within, count);
        }
    });
}

std::vector<Extent> MemoryFile::written(std::uint64_t begin, std::uint64_t end) const {
    std::vector<Extent> extents;
    for (auto at = pages_.lower_bound(begin / page_bytes); at != pages_.end(); ++at) {
        const std::uint64_t page = at->first * page_bytes;
        const std::uint64_t from = std::max(begin, page);
        const std::uint64_t to = std::min(end, page + page_bytes);
        if (from >= to) {
            break;
        }
        if (extents.empty() || extents.back().offset + extents.back().bytes.size() != from) {
            extents.push_back({from, {}});
        }
        const auto* bytes = at->second.data();
        extents.back().bytes.insert(
            extents.back().bytes.end(), bytes + (from - page), bytes + (to - page));
    }
    return extents;
}

Result<Handle> create_file(MemoryFile& memory,
                           std::uint64_t metadata_bytes,
                           std::uint64_t border_bytes) {
    MPITRAIN_TRY(const Handle access, property_list(H5P_FILE_ACCESS));
    const char* what = "set how the file is laid out";
    MPITRAIN_TRY_VOID(use_memory(access, memory));
    MPITRAIN_TRY_VOID(
        done(H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110), what));
    MPITRAIN_TRY_VOID(
        done(H5Pset_alignment(access.get(), MemoryFile::page_bytes, border_bytes), what));
    MPITRAIN_TRY_VOID(done(H5Pset_meta_block_size(access.get(), metadata_bytes), what));
    MPITRAIN_TRY(const Handle create, property_list(H5P_FILE_CREATE));
    MPITRAIN_TRY_VOID(done(H5Pset_obj_track_times(create.get(), false), what));
    if (border_bytes > MemoryFile::page_bytes) {
        // The library would remember the gaps and put its own bytes there.
        MPITRAIN_TRY_VOID(done(
            H5Pset_file_space_strategy(create.get(), H5F_FSPACE_STRATEGY_AGGR, false, 1), what));
    }
    return opened(H5Fcreate("checkpoint", H5F_ACC_TRUNC, create.get(), access.get()),
                  &H5Fclose,
                  "create a file");
}

Result<Handle> link_properties() {
    MPITRAIN_TRY(Handle links, property_list(H5P_LINK_CREATE));
    MPITRAIN_TRY_VOID(done(H5Pset_char_encoding(links.get(), H5T_CSET_UTF8), "set the encoding"));
    return links;
}

Result<void> Groups::make(const Handle& file, const Handle& links, const std::string& path) {
    for (std::size_t slash = path.find('/', 1); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
        const std::string group = path.substr(0, slash);
        if (made_.contains(group)) {
            continue;
        }
        MPITRAIN_TRY(const Handle create, property_list(H5P_GROUP_CREATE));
        MPITRAIN_TRY_VOID(done(H5Pset_obj_track_times(create.get(), false), "turn off times"));
        MPITRAIN_TRY(
            const Handle made,
            opened(H5Gcreate2(file.get(), group.c_str(), links.get(), create.get(), H5P_DEFAULT),
                   &H5Gclose,
                   "make group " + group));
        made_.insert(group);
    }
    return {};
}

Result<void> write_text_attribute(const Handle& object,
                                  const std::string& name,
                                  const std::string& value) {
    MPITRAIN_TRY(const Handle type, opened(H5Tcopy(H5T_C_S1), &H5Tclose, "make a text type"));
    MPITRAIN_TRY_VOID(
        done(H5Tset_size(type.get(), std::max<std::size_t>(1, value.size())), "size a text"));
    MPITRAIN_TRY_VOID(done(H5Tset_strpad(type.get(), H5T_STR_NULLPAD), "pad a text"));
    MPITRAIN_TRY_VOID(done(H5Tset_cset(type.get(), H5T_CSET_UTF8), "set the encoding"));
    MPITRAIN_TRY(const Handle space, dataspace({}));
    MPITRAIN_TRY(
        const Handle attribute,
        opened(H5Acreate2(
                   object.get(), name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT),
               &H5Aclose,
               "make an attribute"));
    // An empty text still has one byte in the file.
    return done(H5Awrite(attribute.get(), type.get(), value.empty() ? "\0" : value.data()),
                "write an attribute");
}

}  // namespace mpitrain::checkpoint::hdf5
