#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "ckpt.hpp"

namespace mpitrain::checkpoint::tool {
namespace {

using Json = nlohmann::json;

// One tensor that is not the same in both.
struct Difference {
    std::string name;
    std::string what;               // "only in the first", "shape", "values", …
    std::uint64_t elements = 0;     // of different bytes
    std::optional<double> largest;  // of float32 and float64
};

class Side {
  public:
    Side(FileSystem& files, const std::string& path, Manifest manifest, const Staging& staging)
        : manifest_(std::move(manifest)), reader_(files, path, manifest_, staging) {}
    Side(const Side&) = delete;
    Side& operator=(const Side&) = delete;
    [[nodiscard]] const Manifest& manifest() const { return manifest_; }
    ShardReader& reader() { return reader_; }

  private:
    Manifest manifest_;
    ShardReader reader_;
};

template <typename Float>
double largest_difference(std::span<const std::byte> a, std::span<const std::byte> b) {
    double largest = 0;
    for (std::size_t at = 0; at < a.size(); at += sizeof(Float)) {
        Float x = 0;
        Float y = 0;
        std::memcpy(&x, a.data() + at, sizeof x);
        std::memcpy(&y, b.data() + at, sizeof y);
        const double apart = std::abs(static_cast<double>(x) - static_cast<double>(y));
        largest = std::isnan(apart) ? NAN : std::max(largest, apart);
    }
    return largest;
}

void compare_part(DType dtype,
                  std::span<const std::byte> a,
                  std::span<const std::byte> b,
                  Difference& difference) {
    const std::size_t element = size_bytes(dtype);
    for (std::size_t at = 0; at < a.size(); at += element) {
        if (std::memcmp(a.data() + at, b.data() + at, element) != 0) {
            ++difference.elements;
        }
    }
    if (dtype == DType::float32 || dtype == DType::float64) {
        const double part = dtype == DType::float32 ? largest_difference<float>(a, b)
                                                    : largest_difference<double>(a, b);
        const double before = difference.largest.value_or(0);
        difference.largest = std::isnan(part) || part > before ? part : before;
    }
}

// Reads both in step: equal shapes and types give equal parts.
Result<Difference> compare(Side& first,
                           Side& second,
                           const StoredTensor& a,
                           const StoredTensor& b) {
    Difference difference{.name = a.name, .what = "values", .elements = 0, .largest = {}};
    std::vector<std::byte> ours;
    std::vector<std::byte> theirs;
    for (const Block& part : parts_of(a)) {
        MPITRAIN_TRY_VOID(read_part(first.reader(), first.manifest(), a, part, ours));
        MPITRAIN_TRY_VOID(read_part(second.reader(), second.manifest(), b, part, theirs));
        compare_part(a.dtype, ours, theirs, difference);
    }
    return difference;
}

Result<std::vector<Difference>> compare(Side& first, Side& second) {
    std::vector<Difference> differences;
    for (const StoredTensor& a : first.manifest().tensors) {
        const StoredTensor* b = second.manifest().find(a.name);
        if (b == nullptr) {
            differences.push_back({a.name, "only in the first", 0, {}});
        } else if (a.dtype != b->dtype || a.shape != b->shape) {
            differences.push_back({a.name,
                                   fmt::format("{}[{}] and {}[{}]",
                                               to_string(a.dtype),
                                               fmt::join(a.shape, ", "),
                                               to_string(b->dtype),
                                               fmt::join(b->shape, ", ")),
                                   0,
                                   {}});
        } else {
            MPITRAIN_TRY(Difference difference, compare(first, second, a, *b));
            if (difference.elements > 0) {
                differences.push_back(std::move(difference));
            }
        }
    }
    for (const StoredTensor& b : second.manifest().tensors) {
        if (first.manifest().find(b.name) == nullptr) {
            differences.push_back({b.name, "only in the second", 0, {}});
        }
    }
    return differences;
}

void print(cli::Terminal& terminal, const std::vector<Difference>& differences) {
    Json list = Json::array();
    cli::Table table({"TENSOR", "DIFFERENCE", "ELEMENTS", "LARGEST"});
    for (const Difference& one : differences) {
        const bool finite = one.largest && std::isfinite(*one.largest);
        list.push_back({{"tensor", one.name},
                        {"difference", one.what},
                        {"elements", one.elements},
                        {"largest", finite ? Json(*one.largest) : Json(nullptr)}});
        table.add({one.name,
                   one.what,
                   one.elements > 0 ? fmt::format("{}", one.elements) : "",
                   one.largest ? fmt::format("{:.6g}", *one.largest) : ""});
    }
    if (terminal.format() == cli::Format::json) {
        const Json json = {
            {"schema", schema}, {"equal", differences.empty()}, {"differences", std::move(list)}};
        terminal.print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    } else if (terminal.format() == cli::Format::table) {
        terminal.print(differences.empty() ? "all tensors are equal, bit for bit\n" : table.text());
    }
}

Result<bool> diff(cli::Invocation& invocation) {
    MPITRAIN_TRY(const auto words, plain_words(invocation, 2));
    const auto files = open_files();
    const Staging staging;
    MPITRAIN_TRY(const std::string path_a, commit_at(*files, words[0]));
    MPITRAIN_TRY(const std::string path_b, commit_at(*files, words[1]));
    MPITRAIN_TRY(Manifest manifest_a, read_manifest(*files, path_a));
    MPITRAIN_TRY(Manifest manifest_b, read_manifest(*files, path_b));
    Side first(*files, path_a, std::move(manifest_a), staging);
    Side second(*files, path_b, std::move(manifest_b), staging);
    MPITRAIN_TRY(const auto differences, compare(first, second));
    print(invocation.terminal, differences);
    return differences.empty();
}

int run_diff(cli::Invocation& invocation) {
    const auto equal = diff(invocation);
    if (!equal) {
        return refuse(invocation.terminal, equal.error());
    }
    return *equal ? 0 : 1;
}

}  // namespace

constinit const cli::Command diff_command{
    .name = "ckpt diff",
    .summary = "compare the tensors of two checkpoints",
    .usage = "DIR DIR",
    .description =
        "Compares names, types, shapes and every value, whatever the numbers of ranks that saved "
        "them. Exits 0 if they are equal, 1 if not.",
    .example = "mpitrain ckpt diff ./a/step-100 ./b/step-100",
    .takes_words = true,
    .run = run_diff,
};

}  // namespace mpitrain::checkpoint::tool
