#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <string_view>
#include <type_traits>

namespace mpitrain::collectives {

enum class DataType : std::uint8_t { f64, f32, f16, bf16, i32, i64, u8 };

// avg is the sum divided by the number of ranks; for integers it truncates towards zero. Integer
// sums and products wrap. min and max of floating point give NaN where any rank has NaN.
enum class ReduceOp : std::uint8_t { sum, prod, min, max, avg };

std::string_view to_string(DataType type);
std::string_view to_string(ReduceOp op);
std::size_t size_bytes(DataType type);

// IEEE 754 binary16, as stored. Converts by rounding to nearest, ties to even.
struct Float16 {
    std::uint16_t bits = 0;
    Float16() = default;
    explicit Float16(float value);
    explicit operator float() const;
    bool operator==(const Float16&) const = default;  // of the bits
};

// The upper half of an IEEE 754 binary32, as stored. Converts by rounding to nearest, ties to even.
struct BFloat16 {
    std::uint16_t bits = 0;
    BFloat16() = default;
    explicit BFloat16(float value);
    explicit operator float() const;
    bool operator==(const BFloat16&) const = default;  // of the bits
};

template <typename T>
inline constexpr bool is_element = false;
template <typename T>
inline constexpr DataType data_type_of{};
#define MPITRAIN_ELEMENT(cpp_type, type)               \
    template <>                                        \
    inline constexpr bool is_element<cpp_type> = true; \
    template <>                                        \
    inline constexpr DataType data_type_of<cpp_type> = DataType::type
MPITRAIN_ELEMENT(double, f64);
MPITRAIN_ELEMENT(float, f32);
MPITRAIN_ELEMENT(Float16, f16);
MPITRAIN_ELEMENT(BFloat16, bf16);
MPITRAIN_ELEMENT(std::int32_t, i32);
MPITRAIN_ELEMENT(std::int64_t, i64);
MPITRAIN_ELEMENT(std::uint8_t, u8);
#undef MPITRAIN_ELEMENT

template <typename T>
concept Element = is_element<std::remove_cv_t<T>>;

// A range of elements in one block of memory: a vector, an array, a span.
template <typename R>
concept ElementRange = std::ranges::contiguous_range<R> && std::ranges::sized_range<R> &&
    Element<std::ranges::range_value_t<R>>;

// Elements to read, borrowed for one call. The pointer is to host memory for the MPI backend and to
// the device's memory for the NCCL backend.
struct ConstBuffer {
    const void* data = nullptr;
    std::size_t count = 0;  // elements
    DataType type = DataType::u8;

    ConstBuffer() = default;
    ConstBuffer(const void* elements, std::size_t element_count, DataType element_type)
        : data(elements), count(element_count), type(element_type) {}
    template <ElementRange R>
    ConstBuffer(const R& range)  // NOLINT(google-explicit-constructor): a view of any range
        : data(std::ranges::data(range)),
          count(std::ranges::size(range)),
          type(data_type_of<std::ranges::range_value_t<R>>) {}
    [[nodiscard]] std::size_t bytes() const { return count * size_bytes(type); }
};

// Elements to write, borrowed for one call.
struct Buffer {
    void* data = nullptr;
    std::size_t count = 0;  // elements
    DataType type = DataType::u8;

    Buffer() = default;
    Buffer(void* elements, std::size_t element_count, DataType element_type)
        : data(elements), count(element_count), type(element_type) {}
    // Of any range; a Buffer is none, so copies go to the copy constructor.
    template <ElementRange R>
    requires(!std::is_const_v<std::remove_reference_t<std::ranges::range_reference_t<R>>>)
        // NOLINTNEXTLINE(google-explicit-constructor,bugprone-forwarding-*): a view
        Buffer(R&& range)
        : data(std::ranges::data(range)),
          count(std::ranges::size(range)),
          type(data_type_of<std::ranges::range_value_t<R>>) {}
    operator ConstBuffer() const {  // NOLINT(google-explicit-constructor): reading is less
        return {data, count, type};
    }
    [[nodiscard]] std::size_t bytes() const { return count * size_bytes(type); }
};

}  // namespace mpitrain::collectives
