#include "types.hpp"

#include <array>
#include <cstdint>

namespace mpitrain::checkpoint::hdf5 {
namespace {

// The fields of a small float, from the sign bit down to bit 0.
struct FloatFields {
    std::size_t size_bytes;
    std::size_t exponent_bits;
    std::size_t mantissa_bits;
    std::size_t bias;
};

Result<Handle> copied(hid_t type) {
    return opened(H5Tcopy(type), &H5Tclose, "make a type");
}

// Fields are set before the size shrinks: HDF5 refuses a size that cuts the present ones.
Result<Handle> small_float(FloatFields fields) {
    MPITRAIN_TRY(Handle type, copied(H5T_IEEE_F32LE));
    const std::size_t sign = fields.exponent_bits + fields.mantissa_bits;
    MPITRAIN_TRY_VOID(done(
        H5Tset_fields(
            type.get(), sign, fields.mantissa_bits, fields.exponent_bits, 0, fields.mantissa_bits),
        "set a float's fields"));
    MPITRAIN_TRY_VOID(done(H5Tset_precision(type.get(), sign + 1), "set a float's precision"));
    MPITRAIN_TRY_VOID(done(H5Tset_size(type.get(), fields.size_bytes), "set a float's size"));
    MPITRAIN_TRY_VOID(done(H5Tset_ebias(type.get(), fields.bias), "set a float's bias"));
    return type;
}

// As h5py writes and reads booleans.
Result<Handle> boolean() {
    MPITRAIN_TRY(Handle type,
                 opened(H5Tenum_create(H5T_STD_I8LE), &H5Tclose, "make the boolean type"));
    const std::int8_t no = 0;
    const std::int8_t yes = 1;
    MPITRAIN_TRY_VOID(done(H5Tenum_insert(type.get(), "FALSE", &no), "make the boolean type"));
    MPITRAIN_TRY_VOID(done(H5Tenum_insert(type.get(), "TRUE", &yes), "make the boolean type"));
    return type;
}

// `high` on top of bytes that are all `low`, little-endian.
std::vector<std::byte> pattern(std::size_t size, unsigned char high, unsigned char low) {
    std::vector<std::byte> bytes(size - 1, std::byte{low});
    bytes.push_back(std::byte{high});
    return bytes;
}

}  // namespace

Result<Handle> file_type(DType dtype) {
    switch (dtype) {
        case DType::float64:
            return copied(H5T_IEEE_F64LE);
        case DType::float32:
            return copied(H5T_IEEE_F32LE);
        case DType::float16:
            return small_float({2, 5, 10, 15});
        case DType::bfloat16:
            return small_float({2, 8, 7, 127});
        case DType::float8_e5m2:
            return small_float({1, 5, 2, 15});
        case DType::int64:
            return copied(H5T_STD_I64LE);
        case DType::int32:
            return copied(H5T_STD_I32LE);
        case DType::int16:
            return copied(H5T_STD_I16LE);
        case DType::int8:
            return copied(H5T_STD_I8LE);
        case DType::uint64:
            return copied(H5T_STD_U64LE);
        case DType::uint32:
            return copied(H5T_STD_U32LE);
        case DType::uint16:
            return copied(H5T_STD_U16LE);
        case DType::boolean:
            return boolean();
        case DType::float8_e4m3fn:
        case DType::uint8:
            return copied(H5T_STD_U8LE);
    }
    return Error(ErrorCode::internal, "a dtype without a file type");
}

std::vector<std::byte> missing_value(DType dtype) {
    const std::size_t size = size_bytes(dtype);
    switch (dtype) {
        case DType::float64:
        case DType::float32:
        case DType::float16:
        case DType::bfloat16:
        case DType::float8_e5m2:
        case DType::float8_e4m3fn:
            return pattern(size, 0x7f, 0xff);  // a NaN in each of these formats
        case DType::int64:
        case DType::int32:
        case DType::int16:
        case DType::int8:
        case DType::boolean:
            return pattern(size, 0x80, 0x00);
        case DType::uint64:
        case DType::uint32:
        case DType::uint16:
        case DType::uint8:
            break;
    }
    return pattern(size, 0xff, 0xff);
}

}  // namespace mpitrain::checkpoint::hdf5
