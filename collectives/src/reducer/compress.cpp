#include "reducer/compress.hpp"

#include "reduce_element.hpp"

namespace mpitrain::collectives {

namespace {

template <DataType type>
void compress_as(const float* value, float* kept, std::uint16_t* sent, std::size_t count) {
    constexpr std::uint32_t infinite = 0x7f800000U;
    for (std::size_t i = 0; i < count; ++i) {
        const float wanted = value[i] + kept[i];
        const std::uint16_t rounded = Format<type>::store(wanted);
        const float lost = wanted - Format<type>::load(rounded);
        sent[i] = rounded;
        kept[i] = (bits_of(lost) & infinite) == infinite ? 0.0F : lost;
    }
}

template <DataType type>
void decompress_as(const std::uint16_t* sent, float* value, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        value[i] = Format<type>::load(sent[i]);
    }
}

}  // namespace

DataType sent_type(Compression how) {
    return how == Compression::bf16  ? DataType::bf16
           : how == Compression::f16 ? DataType::f16
                                     : DataType::f32;
}

void compress(const float* value, float* kept, void* sent, std::size_t count, Compression how) {
    auto* halves = static_cast<std::uint16_t*>(sent);
    if (how == Compression::bf16) {
        compress_as<DataType::bf16>(value, kept, halves, count);
    } else {
        compress_as<DataType::f16>(value, kept, halves, count);
    }
}

void decompress(const void* sent, float* value, std::size_t count, Compression how) {
    const auto* halves = static_cast<const std::uint16_t*>(sent);
    if (how == Compression::bf16) {
        decompress_as<DataType::bf16>(halves, value, count);
    } else {
        decompress_as<DataType::f16>(halves, value, count);
    }
}

}  // namespace mpitrain::collectives
