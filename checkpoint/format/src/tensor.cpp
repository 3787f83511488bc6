#include "mpitrain/checkpoint/tensor.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

namespace mpitrain::checkpoint {
namespace {

struct DTypeFacts {
    DType dtype;
    std::size_t size_bytes;
    std::string_view name;
};

constexpr std::array dtypes = {
    DTypeFacts{DType::float64, 8, "float64"},
    DTypeFacts{DType::float32, 4, "float32"},
    DTypeFacts{DType::float16, 2, "float16"},
    DTypeFacts{DType::bfloat16, 2, "bfloat16"},
    DTypeFacts{DType::float8_e5m2, 1, "float8_e5m2"},
    DTypeFacts{DType::float8_e4m3fn, 1, "float8_e4m3fn"},
    DTypeFacts{DType::int64, 8, "int64"},
    DTypeFacts{DType::int32, 4, "int32"},
    DTypeFacts{DType::int16, 2, "int16"},
    DTypeFacts{DType::int8, 1, "int8"},
    DTypeFacts{DType::uint64, 8, "uint64"},
    DTypeFacts{DType::uint32, 4, "uint32"},
    DTypeFacts{DType::uint16, 2, "uint16"},
    DTypeFacts{DType::uint8, 1, "uint8"},
    DTypeFacts{DType::boolean, 1, "bool"},
};

constexpr std::size_t name_bytes_max = 1024;
constexpr std::size_t dimensions_max = 32;  // H5S_MAX_RANK

Error tensor_error(const TensorSpec& spec, std::string what) {
    return Error(ErrorCode::invalid_argument, std::move(what))
        .at(fmt::format("tensor '{}'", spec.name));
}

std::size_t utf8_length(unsigned char lead) {
    if (lead < 0x80) {
        return 1;
    }
    if (lead < 0xc2 || lead > 0xf4) {
        return 0;
    }
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

bool is_valid_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto lead = static_cast<unsigned char>(text[i]);
        const std::size_t length = utf8_length(lead);
        if (length == 0 || i + length > text.size()) {
            return false;
        }
        for (std::size_t k = 1; k < length; ++k) {
            if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) {
                return false;
            }
        }
        const auto second = length > 2 ? static_cast<unsigned char>(text[i + 1]) : 0x80;
        if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
            (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f)) {
            return false;
        }
        i += length;
    }
    return true;
}

}  // namespace

std::string_view name_fault(std::string_view name) {
    if (name.empty() || name.size() > name_bytes_max) {
        return "the name must have 1 to 1024 bytes";
    }
    if (!is_valid_utf8(name)) {
        return "the name is not UTF-8";
    }
    if (std::any_of(name.begin(), name.end(), [](char c) { return c >= 0 && c < 0x20; })) {
        return "the name holds a control character";
    }
    for (std::string_view rest = name;;) {
        const std::string_view part = rest.substr(0, rest.find('/'));
        if (part.empty() || part == "." || part == "..") {
            return "the name has an empty, '.' or '..' part between '/'";
        }
        if (part.size() == rest.size()) {
            break;
        }
        rest.remove_prefix(part.size() + 1);
    }
    return name.substr(0, name.find('/')) == "_mpt" ? "names under '_mpt' are reserved" : "";
}

std::size_t size_bytes(DType dtype) {
    return dtypes[static_cast<std::size_t>(dtype)].size_bytes;
}

std::string_view to_string(DType dtype) {
    return dtypes[static_cast<std::size_t>(dtype)].name;
}

std::optional<DType> dtype_from(std::string_view name) {
    const auto* at = std::find_if(
        dtypes.begin(), dtypes.end(), [&](const DTypeFacts& facts) { return facts.name == name; });
    if (at == dtypes.end()) {
        return std::nullopt;
    }
    return at->dtype;
}

std::optional<std::uint64_t> element_count(const std::vector<std::uint64_t>& extent) {
    constexpr std::uint64_t limit = std::uint64_t{1} << 63;
    std::uint64_t count = 1;
    if (std::find(extent.begin(), extent.end(), 0U) != extent.end()) {
        return 0;
    }
    for (const std::uint64_t length : extent) {
        if (length > limit / count) {
            return std::nullopt;
        }
        count *= length;
    }
    return count;
}

Block resolved_block(const TensorSpec& spec) {
    if (spec.block.offset.empty() && spec.block.extent.empty()) {
        return {std::vector<std::uint64_t>(spec.shape.size(), 0), spec.shape};
    }
    return spec.block;
}

Result<void> validate(const TensorSpec& spec) {
    if (const std::string_view fault = name_fault(spec.name); !fault.empty()) {
        return tensor_error(spec, std::string(fault));
    }
    if (spec.shape.size() > dimensions_max) {
        return tensor_error(spec, fmt::format("more than {} dimensions", dimensions_max));
    }
    const auto elements = element_count(spec.shape);
    if (!elements || *elements > (std::uint64_t{1} << 62) / size_bytes(spec.dtype)) {
        return tensor_error(spec, "the shape is larger than any file");
    }
    const Block block = resolved_block(spec);
    if (block.offset.size() != spec.shape.size() || block.extent.size() != spec.shape.size()) {
        return tensor_error(spec,
                            fmt::format("the block has {} offsets and {} extents for {} dimensions",
                                        block.offset.size(),
                                        block.extent.size(),
                                        spec.shape.size()));
    }
    for (std::size_t d = 0; d < spec.shape.size(); ++d) {
        if (block.extent[d] > spec.shape[d] || block.offset[d] > spec.shape[d] - block.extent[d]) {
            return tensor_error(spec,
                                fmt::format("the block [{}]+[{}] reaches beyond the shape [{}]",
                                            fmt::join(block.offset, ", "),
                                            fmt::join(block.extent, ", "),
                                            fmt::join(spec.shape, ", ")));
        }
    }
    return {};
}

}  // namespace mpitrain::checkpoint
