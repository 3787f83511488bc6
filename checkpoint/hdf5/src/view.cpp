#include "view.hpp"

#include <utility>
#include <variant>

#include "memory_file.hpp"
#include "shard_image.hpp"
#include "types.hpp"

namespace mpitrain::checkpoint::hdf5 {
namespace {

// HDF5 has no virtual scalars: in the view they are vectors of one.
std::vector<std::uint64_t> shape_in_view(const std::vector<std::uint64_t>& shape) {
    return shape.empty() ? std::vector<std::uint64_t>{1} : shape;
}

Result<void> add_source(const Handle& create, const ViewTensor& tensor, const ViewSource& source) {
    MPITRAIN_TRY(const Handle whole, dataspace(shape_in_view(tensor.shape)));
    if (!tensor.shape.empty()) {
        MPITRAIN_TRY_VOID(select(whole, source.block.offset, source.block.extent));
    }
    MPITRAIN_TRY(const Handle part, dataspace(source.dataset_shape));
    if (source.dataset_shape.size() == 1) {
        MPITRAIN_TRY_VOID(select(part, {source.first}, {source.count}));
    }
    return done(
        H5Pset_virtual(
            create.get(), whole.get(), source.file.c_str(), source.dataset.c_str(), part.get()),
        "map a part of a tensor");
}

Result<void> add_tensor(const Handle& file, const Handle& links, const ViewTensor& tensor) {
    MPITRAIN_TRY(const Handle create, property_list(H5P_DATASET_CREATE));
    MPITRAIN_TRY(const Handle type, file_type(tensor.dtype));
    MPITRAIN_TRY(const Handle space, dataspace(shape_in_view(tensor.shape)));
    MPITRAIN_TRY_VOID(done(H5Pset_obj_track_times(create.get(), false), "turn off times"));
    const std::vector<std::byte> missing = missing_value(tensor.dtype);
    MPITRAIN_TRY_VOID(done(H5Pset_fill_value(create.get(), type.get(), missing.data()),
                           "set what a missing part reads as"));
    for (const ViewSource& source : tensor.sources) {
        MPITRAIN_TRY_VOID(add_source(create, tensor, source));
    }
    MPITRAIN_TRY(const Handle made,
                 opened(H5Dcreate2(file.get(),
                                   tensor.name.c_str(),
                                   type.get(),
                                   space.get(),
                                   links.get(),
                                   create.get(),
                                   H5P_DEFAULT),
                        &H5Dclose,
                        "make dataset " + tensor.name));
    const bool needs_mark = tensor.dtype == DType::float8_e4m3fn || tensor.dtype == DType::bfloat16;
    return needs_mark
               ? write_text_attribute(made, "mpt.dtype", std::string(to_string(tensor.dtype)))
               : Result<void>();
}

Result<void> add_attribute(const Handle& file, const std::string& name, const Attribute& value) {
    if (const auto* text = std::get_if<std::string>(&value)) {
        return write_text_attribute(file, name, *text);
    }
    const bool is_float = std::holds_alternative<double>(value);
    const bool is_flag = std::holds_alternative<bool>(value);
    const std::int64_t integer = is_flag    ? std::int64_t{std::get<bool>(value)}
                                 : is_float ? 0
                                            : std::get<std::int64_t>(value);
    const double number = is_float ? std::get<double>(value) : 0;
    const hid_t memory_type = is_float ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64;
    MPITRAIN_TRY(const Handle space, dataspace({}));
    MPITRAIN_TRY(const Handle attribute,
                 opened(H5Acreate2(file.get(),
                                   name.c_str(),
                                   is_float ? H5T_IEEE_F64LE : H5T_STD_I64LE,
                                   space.get(),
                                   H5P_DEFAULT,
                                   H5P_DEFAULT),
                        &H5Aclose,
                        "make attribute " + name));
    const void* data = is_float ? static_cast<const void*>(&number) : &integer;
    return done(H5Awrite(attribute.get(), memory_type, data), "write attribute " + name);
}

}  // namespace

Result<void> add_tensors(const Handle& file,
                         const Handle& links,
                         Groups& groups,
                         std::span<const ViewTensor> tensors) {
    for (const ViewTensor& tensor : tensors) {
        MPITRAIN_TRY_VOID(groups.make(file, links, "/" + tensor.name));
        MPITRAIN_TRY_VOID(add_tensor(file, links, tensor));
    }
    return {};
}

Result<void> add_attributes(const Handle& file, const Attributes& attributes) {
    for (const auto& [name, value] : attributes) {
        MPITRAIN_TRY_VOID(add_attribute(file, name, value));
    }
    return {};
}

Result<std::vector<std::byte>> make_view(std::span<const ViewTensor> tensors,
                                         const Attributes& attributes) {
    MemoryFile memory;
    MPITRAIN_TRY(Handle file, create_file(memory, 2048));
    MPITRAIN_TRY(const Handle links, link_properties());
    Groups groups;
    MPITRAIN_TRY_VOID(add_tensors(file, links, groups, tensors));
    MPITRAIN_TRY_VOID(add_attributes(file, attributes));
    MPITRAIN_TRY_VOID(file.close("close the view"));
    std::vector<std::byte> bytes(static_cast<std::size_t>(memory.size_bytes()));
    memory.read(0, bytes);
    return bytes;
}

}  // namespace mpitrain::checkpoint::hdf5
