#include "mpitrain/checkpoint/safetensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

namespace mpitrain::checkpoint {
namespace {

using Json = nlohmann::json;

constexpr std::string_view metadata_name = "__metadata__";

struct TypeName {
    std::string_view name;
    DType dtype;
};
constexpr std::array<TypeName, 15> type_names = {{
    {"F64", DType::float64},
    {"F32", DType::float32},
    {"F16", DType::float16},
    {"BF16", DType::bfloat16},
    {"F8_E5M2", DType::float8_e5m2},
    {"F8_E4M3", DType::float8_e4m3fn},
    {"I64", DType::int64},
    {"I32", DType::int32},
    {"I16", DType::int16},
    {"I8", DType::int8},
    {"U64", DType::uint64},
    {"U32", DType::uint32},
    {"U16", DType::uint16},
    {"U8", DType::uint8},
    {"BOOL", DType::boolean},
}};

std::string_view name_of(DType dtype) {
    const auto* at = std::find_if(type_names.begin(), type_names.end(), [&](const TypeName& type) {
        return type.dtype == dtype;
    });
    return at->name;
}

Error damaged(std::string what) {
    return Error(ErrorCode::data_loss, std::move(what));
}

Error of_tensor(std::string_view name, Error error) {
    return Error(std::move(error).at(fmt::format("tensor '{}'", name)));
}

// JSON without a name twice in one object: the parser would keep the last without a word.
Result<Json> parse_strictly(std::string_view text) {
    std::vector<std::set<std::string>> open;
    std::optional<std::string> twice;
    const auto look = [&](int, Json::parse_event_t event, Json& parsed) {
        if (event == Json::parse_event_t::object_start) {
            open.emplace_back();
        } else if (event == Json::parse_event_t::object_end) {
            open.pop_back();
        } else if (event == Json::parse_event_t::key) {
            auto name = parsed.get<std::string>();
            if (!twice && !open.back().insert(name).second) {
                twice = std::move(name);
            }
        }
        return true;
    };
    try {
        Json json = Json::parse(text, look);
        if (twice) {
            return damaged(fmt::format("the header names '{}' twice", *twice));
        }
        if (!json.is_object()) {
            return damaged("the header is no object of JSON");
        }
        return json;
    } catch (const Json::exception& wrong) {
        return damaged(fmt::format("the header is no JSON: {}", wrong.what()));
    }
}

// A list of numbers from 0 on; nullopt for anything else, such as -1, 1.5 or 1e300.
std::optional<std::vector<std::uint64_t>> numbers(const Json& tensor, const char* member) {
    const auto at = tensor.find(member);
    if (at == tensor.end() || !at->is_array() ||
        !std::all_of(
            at->begin(), at->end(), [](const Json& n) { return n.is_number_unsigned(); })) {
        return std::nullopt;
    }
    return at->get<std::vector<std::uint64_t>>();
}

Result<DType> dtype_in(const Json& tensor) {
    const auto at = tensor.find("dtype");
    if (at == tensor.end() || !at->is_string()) {
        return damaged("'dtype' is missing or no text");
    }
    const auto& wanted = at->get_ref<const std::string&>();
    const auto* type = std::find_if(type_names.begin(), type_names.end(), [&](const TypeName& one) {
        return one.name == wanted;
    });
    if (type == type_names.end()) {
        return Error(ErrorCode::unsupported,
                     fmt::format("a checkpoint does not hold the type '{}'", wanted));
    }
    return type->dtype;
}

Result<SafetensorsTensor> decode_tensor(const std::string& name,
                                        const Json& json,
                                        std::uint64_t data_bytes) {
    if (!json.is_object()) {
        return damaged("its entry is no object of JSON");
    }
    MPITRAIN_TRY(const DType dtype, dtype_in(json));
    auto shape = numbers(json, "shape");
    const auto offsets = numbers(json, "data_offsets");
    if (!shape) {
        return damaged("'shape' is no list of whole numbers from 0 on");
    }
    if (!offsets || offsets->size() != 2) {
        return damaged("'data_offsets' is no pair of whole numbers from 0 on");
    }
    const std::uint64_t begin = (*offsets)[0];
    const std::uint64_t end = (*offsets)[1];
    if (begin > end || end > data_bytes) {
        return damaged(fmt::format(
            "its bytes, {} to {}, are not within the file's {}", begin, end, data_bytes));
    }
    SafetensorsTensor tensor{name, dtype, *std::move(shape), begin, end - begin};
    if (auto valid = validate({name, dtype, tensor.shape, {}}); !valid) {
        // It names the tensor itself.
        return Error(valid.error().code(), valid.error().what());
    }
    const std::uint64_t wanted = *element_count(tensor.shape) * size_bytes(dtype);
    if (wanted != tensor.size_bytes) {
        return damaged(fmt::format("it has {} bytes, and its shape {}", tensor.size_bytes, wanted));
    }
    return tensor;
}

// Errors: data_loss when the tensors share bytes or leave some out.
Result<void> check_cover(const std::vector<SafetensorsTensor>& tensors, std::uint64_t data_bytes) {
    std::vector<const SafetensorsTensor*> order;
    for (const SafetensorsTensor& tensor : tensors) {
        order.push_back(&tensor);
    }
    // An empty one comes before that which begins where it lies.
    std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
        return std::pair(a->offset, a->size_bytes) < std::pair(b->offset, b->size_bytes);
    });
    std::uint64_t at = 0;
    for (const SafetensorsTensor* tensor : order) {
        if (tensor->offset != at) {
            return of_tensor(
                tensor->name,
                damaged(fmt::format("its bytes begin at {}, {} {}",
                                    tensor->offset,
                                    tensor->offset < at ? "within another's, which end at"
                                                        : "and those before it end at",
                                    at)));
        }
        at += tensor->size_bytes;
    }
    if (at != data_bytes) {
        return damaged(fmt::format("{} of {} bytes are no tensor's", data_bytes - at, data_bytes));
    }
    return {};
}

Result<std::map<std::string, std::string>> decode_metadata(const Json& json) {
    std::map<std::string, std::string> metadata;
    if (!json.is_object()) {
        return damaged("'__metadata__' is no object of JSON");
    }
    for (const auto& [name, value] : json.items()) {
        if (!value.is_string()) {
            return damaged(fmt::format("'__metadata__' holds '{}', which is no text", name));
        }
        metadata[name] = value.get<std::string>();
    }
    return metadata;
}

}  // namespace

Result<std::uint64_t> safetensors_header_bytes(std::string_view prefix, std::uint64_t file_bytes) {
    if (prefix.size() < safetensors_prefix_bytes || file_bytes < safetensors_prefix_bytes) {
        return damaged(fmt::format("no safetensors file: it has {} bytes", file_bytes));
    }
    std::uint64_t length = 0;
    for (std::size_t i = safetensors_prefix_bytes; i-- > 0;) {
        length = length << 8 | static_cast<unsigned char>(prefix[i]);
    }
    if (length > file_bytes - safetensors_prefix_bytes) {
        return damaged(fmt::format(
            "no safetensors file, or a part of one: a header of {} bytes in a file of {}",
            length,
            file_bytes));
    }
    if (length > safetensors_header_bytes_max) {
        return Error(ErrorCode::unsupported,
                     fmt::format("a header of {} bytes; the format's limit is {}",
                                 length,
                                 safetensors_header_bytes_max));
    }
    return length;
}

Result<SafetensorsHeader> decode_safetensors(std::string_view header, std::uint64_t data_bytes) {
    MPITRAIN_TRY(const Json json, parse_strictly(header));
    SafetensorsHeader decoded;
    for (const auto& [name, entry] : json.items()) {
        if (name == metadata_name) {
            MPITRAIN_TRY(decoded.metadata, decode_metadata(entry));
            continue;
        }
        auto tensor = decode_tensor(name, entry, data_bytes);
        if (!tensor) {
            return of_tensor(name, std::move(tensor).error());
        }
        decoded.tensors.push_back(*std::move(tensor));
    }
    MPITRAIN_TRY_VOID(check_cover(decoded.tensors, data_bytes));
    return decoded;
}

std::string encode_safetensors(const SafetensorsHeader& header) {
    nlohmann::ordered_json json = nlohmann::ordered_json::object();
    if (!header.metadata.empty()) {
        json[std::string(metadata_name)] = header.metadata;
    }
    for (const SafetensorsTensor& tensor : header.tensors) {
        json[tensor.name] = {{"dtype", name_of(tensor.dtype)},
                             {"shape", tensor.shape},
                             {"data_offsets", {tensor.offset, tensor.offset + tensor.size_bytes}}};
    }
    std::string text = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    text.resize((text.size() + 7) / 8 * 8, ' ');
    std::string whole;
    for (std::size_t i = 0; i < safetensors_prefix_bytes; ++i) {
        whole.push_back(static_cast<char>(text.size() >> (8 * i) & 0xff));
    }
    return whole + text;
}

}  // namespace mpitrain::checkpoint
