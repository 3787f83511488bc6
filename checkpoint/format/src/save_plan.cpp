#include "mpitrain/checkpoint/save_plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "mpitrain/checkpoint/box.hpp"
#include "single_layout.hpp"

namespace mpitrain::checkpoint {
namespace {

// A rank that holds a block, and in which of its buffers.
struct Owner {
    int rank = 0;
    std::size_t source = 0;
};

using BoxKey = std::pair<std::vector<std::uint64_t>, std::vector<std::uint64_t>>;

struct Gathered {
    TensorPlan tensor;
    int first_rank = 0;
    std::map<BoxKey, std::vector<Owner>> blocks;
};

using ByName = std::map<std::string, Gathered>;

Error tensor_error(std::string_view name, std::string what) {
    return Error(ErrorCode::invalid_argument, std::move(what)).at(fmt::format("tensor '{}'", name));
}

Result<void> gather_one(ByName& tensors, int rank, std::size_t source, const TensorSpec& spec) {
    MPITRAIN_TRY_VOID(validate(spec));
    auto& gathered = tensors[spec.name];
    if (gathered.tensor.name.empty()) {
        gathered.tensor = {spec.name, spec.dtype, spec.shape};
        gathered.first_rank = rank;
    }
    if (gathered.tensor.dtype != spec.dtype || gathered.tensor.shape != spec.shape) {
        return tensor_error(spec.name,
                            fmt::format("rank {} gives it as {}[{}], rank {} as {}[{}]",
                                        gathered.first_rank,
                                        to_string(gathered.tensor.dtype),
                                        fmt::join(gathered.tensor.shape, ", "),
                                        rank,
                                        to_string(spec.dtype),
                                        fmt::join(spec.shape, ", ")));
    }
    const Block block = resolved_block(spec);
    if (element_count(block.extent) == 0U) {
        return {};
    }
    auto& owners = gathered.blocks[{block.offset, block.extent}];
    if (owners.empty() || owners.back().rank != rank) {
        owners.push_back({rank, source});
    }
    return {};
}

// A tensor named "a" is a dataset, so "a/b" cannot be one beside it.
Result<void> check_nesting(const ByName& tensors) {
    for (const auto& [name, gathered] : tensors) {
        for (std::size_t slash = name.find('/'); slash != std::string::npos;
             slash = name.find('/', slash + 1)) {
            if (tensors.contains(name.substr(0, slash))) {
                return tensor_error(name,
                                    fmt::format("'{}' is a tensor itself", name.substr(0, slash)));
            }
        }
    }
    return {};
}

Result<ByName> gather(std::span<const Contribution> ranks) {
    ByName tensors;
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
        for (std::size_t source = 0; source < ranks[rank].tensors.size(); ++source) {
            MPITRAIN_TRY_VOID(
                gather_one(tensors, static_cast<int>(rank), source, ranks[rank].tensors[source]));
        }
    }
    MPITRAIN_TRY_VOID(check_nesting(tensors));
    for (const auto& [name, gathered] : tensors) {
        std::vector<Block> blocks;
        for (const auto& [key, owners] : gathered.blocks) {
            blocks.push_back({key.first, key.second});
        }
        if (const std::string fault = coverage_fault(gathered.tensor.shape, blocks);
            !fault.empty()) {
            return tensor_error(name, fault);
        }
    }
    return tensors;
}

// Builds the pieces rank by rank and keeps the count of what each has to write.
class Division {
  public:
    explicit Division(std::size_t ranks) : pieces_(ranks), load_(ranks, 0) {}

    void add(const Owner& owner, Piece piece) {
        const auto rank = static_cast<std::size_t>(owner.rank);
        piece.rank = owner.rank;
        piece.source = owner.source;
        load_[rank] += piece.size_bytes;
        pieces_[rank].push_back(std::move(piece));
    }

    // The owner with the least to write so far.
    [[nodiscard]] const Owner& least_loaded(const std::vector<Owner>& owners) const {
        return *std::min_element(owners.begin(), owners.end(), [&](const Owner& a, const Owner& b) {
            return load_[static_cast<std::size_t>(a.rank)] <
                   load_[static_cast<std::size_t>(b.rank)];
        });
    }

    std::vector<Piece>& pieces(std::size_t rank) { return pieces_[rank]; }

  private:
    std::vector<std::vector<Piece>> pieces_;
    std::vector<std::uint64_t> load_;
};

// A block held by several ranks, still to be shared out.
struct Replicated {
    std::size_t item = 0;
    std::size_t element_bytes = 1;
    Block block;
    std::uint64_t size_bytes = 0;
    const std::vector<Owner>* owners = nullptr;
};

// Small ones go whole to whoever has least; one that is a large part of a rank's share is cut, each
// part contiguous in the owners' memory.
void share_out(std::vector<Replicated> blocks, Division& division) {
    constexpr std::uint64_t whole_below_bytes = 1 << 20;
    constexpr std::uint64_t parts_of_a_share = 64;
    std::uint64_t total = 0;
    for (const Replicated& block : blocks) {
        total += block.size_bytes;
    }
    std::stable_sort(blocks.begin(), blocks.end(), [](const auto& a, const auto& b) {
        return a.size_bytes > b.size_bytes;
    });
    for (const Replicated& block : blocks) {
        const std::uint64_t owners = block.owners->size();
        const std::uint64_t limit = std::max(whole_below_bytes, total / owners / parts_of_a_share);
        const std::uint64_t parts = block.size_bytes > limit ? owners : 1;
        std::uint64_t offset = 0;
        for (Block& part : split(block.block, parts)) {
            const std::uint64_t bytes = *element_count(part.extent) * block.element_bytes;
            division.add(division.least_loaded(*block.owners),
                         Piece{.item = block.item,
                               .block = std::move(part),
                               .size_bytes = bytes,
                               .source_offset = offset});
            offset += bytes;
        }
    }
}

void divide_tensors(const ByName& tensors, SavePlan& plan, Division& division) {
    std::vector<Replicated> replicated;
    for (const auto& [name, gathered] : tensors) {
        const std::size_t item = plan.tensors.size();
        const std::size_t element_bytes = size_bytes(gathered.tensor.dtype);
        plan.tensors.push_back(gathered.tensor);
        for (const auto& [key, owners] : gathered.blocks) {
            const Block block{key.first, key.second};
            const std::uint64_t bytes = *element_count(block.extent) * element_bytes;
            if (owners.size() > 1) {
                replicated.push_back({item, element_bytes, block, bytes, &owners});
            } else {
                division.add(owners.front(),
                             Piece{.item = item, .block = block, .size_bytes = bytes});
            }
        }
    }
    share_out(std::move(replicated), division);
}

Result<void> divide_blobs(std::span<const Contribution> ranks, SavePlan& plan, Division& division) {
    std::map<std::tuple<std::string, int>, std::pair<BlobPlan, std::size_t>> blobs;
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
        for (std::size_t source = 0; source < ranks[rank].blobs.size(); ++source) {
            const BlobSpec& spec = ranks[rank].blobs[source];
            const auto fault = [&](std::string what) {
                return Error(ErrorCode::invalid_argument, std::move(what))
                    .at(fmt::format("blob '{}' of rank {}", spec.name, rank));
            };
            if (const std::string_view bad = name_fault(spec.name); !bad.empty()) {
                return fault(std::string(bad));
            }
            if (spec.name.find('/') != std::string::npos) {
                return fault("a blob's name has no '/'");
            }
            if (spec.global && rank != 0) {
                continue;
            }
            const int owner = spec.global ? -1 : static_cast<int>(rank);
            const auto kept = spec.global ? std::nullopt : std::optional<int>(owner);
            if (!blobs
                     .try_emplace(
                         {spec.name, owner}, BlobPlan{spec.name, kept, spec.size_bytes}, source)
                     .second) {
                return fault("it is given twice");
            }
        }
    }
    for (const auto& [key, entry] : blobs) {
        const auto& [blob, source] = entry;
        if (blob.size_bytes > 0) {
            division.add(
                {blob.rank.value_or(0), source},
                Piece{.of_blob = true, .item = plan.blobs.size(), .size_bytes = blob.size_bytes});
        }
        plan.blobs.push_back(blob);
    }
    return {};
}

// Gives every piece its place: a dataset of its own, or the next free bytes of its type's pool.
class PlacesOfRank {
  public:
    PlacesOfRank(const SavePlan& plan, ShardPlan& shard) : plan_(plan), shard_(shard) {}

    void place(Piece& piece) {
        const DType dtype = piece.of_blob ? DType::uint8 : plan_.tensors[piece.item].dtype;
        if (piece.size_bytes >= pooled_below_bytes) {
            piece.dataset = add({own_path(piece), dtype, own_shape(piece)});
            return;
        }
        const auto [at, is_new] = pools_.try_emplace(dtype, 0);
        if (is_new) {
            at->second = add({fmt::format("/pool/{}", to_string(dtype)), dtype, {0}});
        }
        std::uint64_t& length = shard_.datasets[at->second].shape[0];
        piece.dataset = at->second;
        piece.dataset_offset = length * size_bytes(dtype);
        length += piece.size_bytes / size_bytes(dtype);
    }

  private:
    std::size_t add(DatasetPlan dataset) {
        shard_.datasets.push_back(std::move(dataset));
        return shard_.datasets.size() - 1;
    }
    // A rank may hold several blocks of one tensor: the k-th is under group k.
    std::string own_path(const Piece& piece) {
        if (piece.of_blob) {
            const BlobPlan& blob = plan_.blobs[piece.item];
            return fmt::format("/blob/{}/{}", blob.rank ? "rank" : "global", blob.name);
        }
        return fmt::format("/{}/{}", blocks_of_[piece.item]++, plan_.tensors[piece.item].name);
    }
    static std::vector<std::uint64_t> own_shape(const Piece& piece) {
        return piece.of_blob ? std::vector<std::uint64_t>{piece.size_bytes} : piece.block.extent;
    }

    const SavePlan& plan_;
    ShardPlan& shard_;
    std::map<DType, std::size_t> pools_;
    std::map<std::size_t, int> blocks_of_;
};

ShardPlan lay_out(const SavePlan& plan, int rank, std::vector<Piece> pieces) {
    ShardPlan shard{.rank = rank, .datasets = {}, .pieces = {}};
    std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
        return std::tie(a.of_blob, a.item, a.block.offset) <
               std::tie(b.of_blob, b.item, b.block.offset);
    });
    PlacesOfRank places(plan, shard);
    for (Piece& piece : pieces) {
        places.place(piece);
    }
    std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
        return std::tie(a.dataset, a.dataset_offset) < std::tie(b.dataset, b.dataset_offset);
    });
    shard.pieces = std::move(pieces);
    return shard;
}

}  // namespace

Result<SavePlan> plan_save(std::span<const Contribution> ranks, Layout layout) {
    MPITRAIN_TRY(const ByName tensors, gather(ranks));
    SavePlan plan;
    Division division(ranks.size());
    divide_tensors(tensors, plan, division);
    MPITRAIN_TRY_VOID(divide_blobs(ranks, plan, division));
    if (layout == Layout::single) {
        std::vector<Piece> pieces;
        for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
            std::vector<Piece>& more = division.pieces(rank);
            std::move(more.begin(), more.end(), std::back_inserter(pieces));
        }
        if (!pieces.empty()) {
            plan.shards.push_back(lay_out_single(plan, std::move(pieces)));
        }
        return plan;
    }
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
        if (!division.pieces(rank).empty()) {
            plan.shards.push_back(
                lay_out(plan, static_cast<int>(rank), std::move(division.pieces(rank))));
        }
    }
    return plan;
}

}  // namespace mpitrain::checkpoint
