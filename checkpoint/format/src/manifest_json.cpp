#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "mpitrain/checkpoint/box.hpp"
#include "mpitrain/checkpoint/crc32c.hpp"
#include "mpitrain/checkpoint/manifest.hpp"
#include "mpitrain/checkpoint/read_plan.hpp"

namespace mpitrain::checkpoint {
namespace {

using Json = nlohmann::json;
using Buffer = fmt::memory_buffer;

// ---- Encoding: by hand, for a manifest of many tensors is on the way of every save. ----

template <typename... Arguments>
void put(Buffer& out, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    fmt::format_to(std::back_inserter(out), format, std::forward<Arguments>(arguments)...);
}

std::string json_text(std::string_view text) {
    return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

// JSON has no infinities: those go as {"float": "inf"}.
std::string encode_attribute(const Attribute& attribute) {
    if (const auto* text = std::get_if<std::string>(&attribute)) {
        return json_text(*text);
    }
    if (const auto* number = std::get_if<double>(&attribute)) {
        return std::isfinite(*number) ? Json(*number).dump()
                                      : fmt::format(R"({{"float":"{}"}})", *number);
    }
    if (const auto* flag = std::get_if<bool>(&attribute)) {
        return *flag ? "true" : "false";
    }
    return fmt::format("{}", std::get<std::int64_t>(attribute));
}

void encode_shards(Buffer& out, const Manifest& manifest) {
    const char* comma = "";
    for (const ShardFile& shard : manifest.shards) {
        put(out,
            R"({}{{"file":{},"bytes":{},"table":{{"offset":{},"bytes":{},"crc32c":"{:08x}"}}}})",
            comma,
            json_text(shard.file),
            shard.size_bytes,
            shard.table_offset,
            shard.table_bytes,
            shard.table_crc32c);
        comma = ",";
    }
}

void encode_tensor(Buffer& out, const StoredTensor& tensor) {
    put(out,
        R"({{"name":{},"dtype":"{}","shape":[{}],"blocks":[)",
        json_text(tensor.name),
        to_string(tensor.dtype),
        fmt::join(tensor.shape, ","));
    const char* comma = "";
    for (const StoredBlock& block : tensor.blocks) {
        put(out,
            R"({}{{"shard":{},"at":{},"offset":[{}],"extent":[{}]}})",
            comma,
            block.shard,
            block.offset,
            fmt::join(block.block.offset, ","),
            fmt::join(block.block.extent, ","));
        comma = ",";
    }
    put(out, "]}}");
}

void encode_blobs(Buffer& out, const Manifest& manifest) {
    const char* comma = "";
    for (const StoredBlob& blob : manifest.blobs) {
        put(out,
            R"({}{{"name":{},"rank":{},"shard":{},"at":{},"bytes":{}}})",
            comma,
            json_text(blob.name),
            blob.rank ? fmt::format("{}", *blob.rank) : "null",
            blob.shard,
            blob.offset,
            blob.size_bytes);
        comma = ",";
    }
}

void encode_head(Buffer& out, const Manifest& manifest, std::string_view structure) {
    put(out,
        R"({{"schema":"{}","step":{},"world_size":{},"created":{},"model":{},"job":{},)",
        manifest_schema,
        manifest.step,
        manifest.world_size,
        json_text(manifest.created),
        json_text(manifest.model),
        json_text(manifest.job));
    put(out, R"("attempt":{},"structure":"{}","attributes":{{)", manifest.attempt, structure);
    const char* comma = "";
    for (const auto& [name, value] : manifest.attributes) {
        put(out, "{}{}:{}", comma, json_text(name), encode_attribute(value));
        comma = ",";
    }
    put(out, R"(}},"block_bytes":{},"shards":[)", manifest.block_bytes);
}

// ---- Decoding: nothing in the text is trusted, not even after its checksum. ----

constexpr std::string_view seal_begin = R"(,"crc32c":")";
constexpr std::string_view seal_end = "\"}\n";
constexpr std::size_t seal_bytes = seal_begin.size() + 8 + seal_end.size();

// Strict, where get<>() would convert a sign, a fraction or a flag.
std::uint64_t number(const Json& json) {
    return json.get_ref<const Json::number_unsigned_t&>();
}
const std::string& text_of(const Json& json) {
    return json.get_ref<const std::string&>();
}

std::vector<std::uint64_t> numbers(const Json& json) {
    std::vector<std::uint64_t> values;
    for (const Json& value : json.get_ref<const Json::array_t&>()) {
        values.push_back(number(value));
    }
    return values;
}

Error damage(std::string what) {
    return Error(ErrorCode::data_loss, std::move(what));
}

Result<std::uint32_t> decode_crc(std::string_view text) {
    std::uint32_t value = 0;
    for (const char c : text) {
        const std::string_view digits = "0123456789abcdef";
        const std::size_t digit = digits.find(c);
        if (digit == std::string_view::npos || text.size() != 8) {
            return damage(fmt::format("'{}' is no checksum of 8 hex digits", text));
        }
        value = (value << 4) | static_cast<std::uint32_t>(digit);
    }
    return value;
}

Result<Attribute> decode_attribute(const Json& json) {
    if (json.is_boolean()) {
        return Attribute(json.get<bool>());
    }
    if (json.is_number_float()) {
        return Attribute(json.get<double>());
    }
    if (json.is_number_integer()) {
        if (json.is_number_unsigned() && number(json) > INT64_MAX) {
            return damage("an attribute is beyond 63 bits");
        }
        return Attribute(json.get<std::int64_t>());
    }
    if (json.is_object()) {
        const std::string& name = text_of(json.at("float"));
        if (name == "nan" || name == "-nan") {
            return Attribute(std::nan(""));
        }
        if (name == "inf" || name == "-inf") {
            return Attribute(name == "inf" ? HUGE_VAL : -HUGE_VAL);
        }
        return damage(fmt::format("an attribute has the unknown value '{}'", name));
    }
    return Attribute(text_of(json));
}

// Whether `length` bytes from `offset` on lie within `size`.
bool fits(std::uint64_t offset, std::uint64_t length, std::uint64_t size) {
    return length <= size && offset <= size - length;
}

Result<ShardFile> decode_shard(const Json& json, std::uint32_t block_bytes) {
    const Json& table = json.at("table");
    MPITRAIN_TRY(const std::uint32_t crc, decode_crc(text_of(table.at("crc32c"))));
    ShardFile shard{text_of(json.at("file")),
                    number(json.at("bytes")),
                    number(table.at("offset")),
                    number(table.at("bytes")),
                    crc};
    if (shard.file.empty() || shard.file.find('/') != std::string::npos ||
        shard.file.find('\0') != std::string::npos || shard.file.front() == '.') {
        return damage(fmt::format("'{}' is no name of a shard", shard.file));
    }
    const std::uint64_t blocks = shard.size_bytes / block_bytes + 1;
    if (shard.size_bytes > (std::uint64_t{1} << 62) ||
        !fits(shard.table_offset, shard.table_bytes, shard.size_bytes) ||
        shard.table_bytes % 4 != 0 ||
        shard.table_bytes / 4 < blocks - (shard.size_bytes % block_bytes == 0 ? 1 : 0)) {
        return damage(fmt::format("the checksum table of {} is impossible", shard.file));
    }
    return shard;
}

Result<StoredTensor> decode_tensor(const Json& json, const std::vector<ShardFile>& shards) {
    const auto dtype = dtype_from(text_of(json.at("dtype")));
    StoredTensor tensor{
        text_of(json.at("name")), dtype.value_or(DType::uint8), numbers(json.at("shape")), {}};
    const auto fault = [&](std::string what) {
        return damage(std::move(what)).at(fmt::format("tensor '{}'", tensor.name));
    };
    if (!dtype) {
        return fault(fmt::format("unknown type '{}'", text_of(json.at("dtype"))));
    }
    if (const auto valid = validate({tensor.name, *dtype, tensor.shape, {}}); !valid) {
        return damage(valid.error().what()).at(valid.error().where());
    }
    std::vector<Block> boxes;
    for (const Json& item : json.at("blocks").get_ref<const Json::array_t&>()) {
        StoredBlock block{static_cast<std::size_t>(number(item.at("shard"))),
                          number(item.at("at")),
                          {numbers(item.at("offset")), numbers(item.at("extent"))}};
        const std::size_t dimensions = tensor.shape.size();
        const auto elements = element_count(block.block.extent);
        if (block.block.offset.size() != dimensions || block.block.extent.size() != dimensions ||
            elements.value_or(0) == 0 || *elements > *element_count(tensor.shape)) {
            return fault("a block does not fit the shape");
        }
        if (block.shard >= shards.size() ||
            !fits(block.offset, *elements * size_bytes(*dtype), shards[block.shard].size_bytes)) {
            return fault("a block lies outside its file");
        }
        boxes.push_back(block.block);
        tensor.blocks.push_back(std::move(block));
    }
    if (std::string uncovered = coverage_fault(tensor.shape, boxes); !uncovered.empty()) {
        return fault(std::move(uncovered));
    }
    return tensor;
}

Result<StoredBlob> decode_blob(const Json& json, const Manifest& manifest) {
    StoredBlob blob{text_of(json.at("name")),
                    std::nullopt,
                    static_cast<std::size_t>(number(json.at("shard"))),
                    number(json.at("at")),
                    number(json.at("bytes"))};
    const auto fault = [&](std::string what) {
        return damage(std::move(what)).at(fmt::format("blob '{}'", blob.name));
    };
    if (!json.at("rank").is_null()) {
        const std::uint64_t rank = number(json.at("rank"));
        if (rank >= static_cast<std::uint64_t>(manifest.world_size)) {
            return fault("its rank is beyond the world");
        }
        blob.rank = static_cast<int>(rank);
    }
    // An empty blob lies nowhere.
    if (blob.size_bytes > 0 &&
        (blob.shard >= manifest.shards.size() ||
         !fits(blob.offset, blob.size_bytes, manifest.shards[blob.shard].size_bytes))) {
        return fault("it lies outside its file");
    }
    return blob;
}

Result<void> decode_files(const Json& json, Manifest& manifest) {
    const std::uint64_t block_bytes = number(json.at("block_bytes"));
    if (block_bytes < 4096 || block_bytes > request_bytes ||
        (block_bytes & (block_bytes - 1)) != 0) {
        return damage(fmt::format("{} is no block size", block_bytes));
    }
    manifest.block_bytes = static_cast<std::uint32_t>(block_bytes);
    std::set<std::string_view> names;
    for (const Json& item : json.at("shards").get_ref<const Json::array_t&>()) {
        MPITRAIN_TRY(ShardFile shard, decode_shard(item, manifest.block_bytes));
        manifest.shards.push_back(std::move(shard));
    }
    for (const ShardFile& shard : manifest.shards) {
        if (!names.insert(shard.file).second) {
            return damage(fmt::format("two shards are named {}", shard.file));
        }
    }
    if (const Json& view = json.at("view"); !view.is_null()) {
        MPITRAIN_TRY(const std::uint32_t crc, decode_crc(text_of(view.at("crc32c"))));
        manifest.view = ViewFile{number(view.at("bytes")), crc};
    }
    return {};
}

Result<void> decode_head(const Json& json, Manifest& manifest) {
    manifest.step = number(json.at("step"));
    const std::uint64_t world_size = number(json.at("world_size"));
    if (world_size == 0 || world_size > INT32_MAX) {
        return damage(fmt::format("{} is no number of ranks", world_size));
    }
    manifest.world_size = static_cast<int>(world_size);
    manifest.created = text_of(json.at("created"));
    manifest.model = text_of(json.at("model"));
    manifest.job = text_of(json.at("job"));
    manifest.attempt = number(json.at("attempt"));
    for (const auto& [name, value] : json.at("attributes").get_ref<const Json::object_t&>()) {
        MPITRAIN_TRY(Attribute attribute, decode_attribute(value));
        manifest.attributes.emplace(name, std::move(attribute));
    }
    return {};
}

Result<void> check_schema(const Json& json) {
    const std::string& schema = text_of(json.at("schema"));
    const std::string_view family = manifest_schema.substr(0, manifest_schema.find('/') + 1);
    if (schema == manifest_schema) {
        return {};
    }
    if (schema.starts_with(family)) {
        return Error(ErrorCode::unsupported,
                     fmt::format("format '{}', this build reads '{}'", schema, manifest_schema))
            .mend("use the mpitrain that wrote it, or a later one");
    }
    return damage(fmt::format("'{}' is no checkpoint format", schema));
}

Result<Manifest> decode_body(const Json& json) {
    MPITRAIN_TRY_VOID(check_schema(json));
    Manifest manifest;
    MPITRAIN_TRY_VOID(decode_head(json, manifest));
    MPITRAIN_TRY_VOID(decode_files(json, manifest));
    for (const Json& item : json.at("tensors").get_ref<const Json::array_t&>()) {
        MPITRAIN_TRY(StoredTensor tensor, decode_tensor(item, manifest.shards));
        if (!manifest.tensors.empty() && manifest.tensors.back().name >= tensor.name) {
            return damage(fmt::format("tensor '{}' is out of order", tensor.name));
        }
        manifest.tensors.push_back(std::move(tensor));
    }
    for (const Json& item : json.at("blobs").get_ref<const Json::array_t&>()) {
        MPITRAIN_TRY(StoredBlob blob, decode_blob(item, manifest));
        manifest.blobs.push_back(std::move(blob));
    }
    return manifest;
}

}  // namespace

EncodedContents encode_contents(const Manifest& manifest) {
    Buffer out;
    put(out, R"(,"tensors":[)");
    const char* comma = "";
    for (const StoredTensor& tensor : manifest.tensors) {
        put(out, "{}", comma);
        encode_tensor(out, tensor);
        comma = ",";
    }
    put(out, R"(],"blobs":[)");
    encode_blobs(out, manifest);
    put(out, "]");
    return {structure_hash(manifest), fmt::to_string(out)};
}

std::string encode(const Manifest& manifest, const EncodedContents& contents) {
    Buffer out;
    encode_head(out, manifest, contents.structure);
    encode_shards(out, manifest);
    put(out, R"(],"view":)");
    if (manifest.view) {
        put(out,
            R"({{"file":"{}","bytes":{},"crc32c":"{:08x}"}})",
            view_name,
            manifest.view->size_bytes,
            manifest.view->crc32c);
    } else {
        put(out, "null");
    }
    out.append(contents.text);
    const std::uint32_t crc = crc32c(std::as_bytes(std::span(out.data(), out.size())));
    put(out, "{}{:08x}{}", seal_begin, crc, seal_end);
    return fmt::to_string(out);
}

std::string encode(const Manifest& manifest) {
    return encode(manifest, encode_contents(manifest));
}

Result<Manifest> decode_manifest(std::string_view text) {
    if (text.size() < seal_bytes) {
        return damage("the manifest is cut short");
    }
    const std::string_view body = text.substr(0, text.size() - seal_bytes);
    const std::string_view seal = text.substr(body.size());
    if (!seal.starts_with(seal_begin) || !seal.ends_with(seal_end)) {
        return damage("the manifest is cut short");
    }
    MPITRAIN_TRY(const std::uint32_t wanted, decode_crc(seal.substr(seal_begin.size(), 8)));
    const std::uint32_t found = crc32c(std::as_bytes(std::span(body)));
    if (wanted != found) {
        return damage(
            fmt::format("the manifest's checksum is {:08x}, its bytes give {:08x}", wanted, found));
    }
    try {
        return decode_body(Json::parse(text));
    } catch (const Json::exception& bad) {
        return damage(fmt::format("the manifest is malformed: {}", bad.what()));
    }
}

}  // namespace mpitrain::checkpoint
