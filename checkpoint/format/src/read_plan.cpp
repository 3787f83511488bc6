#include "mpitrain/checkpoint/read_plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <tuple>

#include "mpitrain/checkpoint/box.hpp"

namespace mpitrain::checkpoint {
namespace {

// Bytes side by side both in a file and in a target.
struct Stretch {
    std::size_t shard = 0;
    std::uint64_t offset = 0;
    std::uint64_t size_bytes = 0;
    std::size_t target = 0;
    std::uint64_t target_offset = 0;
};

// Joins stretches into requests of whole checksum blocks.
class Requests {
  public:
    Requests(const Manifest& manifest, ReadPlan& plan) : manifest_(manifest), plan_(plan) {}

    void add(Stretch stretch, bool copied) {
        while (stretch.size_bytes > 0) {
            const std::uint64_t room = reserve(stretch);
            const std::uint64_t part = std::min(room, stretch.size_bytes);
            ReadRequest& request = plan_.requests.back();
            if (copied) {
                plan_.copies.push_back(
                    {stretch.offset - request.offset, stretch.target, stretch.target_offset, part});
                ++request.copy_count;
            }
            stretch.offset += part;
            stretch.target_offset += part;
            stretch.size_bytes -= part;
        }
    }

  private:
    // Makes the last request hold the first bytes of `stretch`; returns how many it can hold.
    std::uint64_t reserve(const Stretch& stretch) {
        const std::uint64_t block = manifest_.block_bytes;
        const std::uint64_t file_end = manifest_.shards[stretch.shard].size_bytes;
        const std::uint64_t begin = stretch.offset / block * block;
        const std::uint64_t limit = std::max<std::uint64_t>(request_bytes, block);
        const bool joins = !plan_.requests.empty() &&
                           plan_.requests.back().shard == stretch.shard &&
                           begin <= end_of(plan_.requests.back()) &&
                           stretch.offset - plan_.requests.back().offset < limit;
        if (!joins) {
            plan_.requests.push_back({stretch.shard, begin, 0, plan_.copies.size(), 0});
        }
        ReadRequest& request = plan_.requests.back();
        const std::uint64_t last =
            std::min(stretch.offset + stretch.size_bytes, request.offset + limit);
        const std::uint64_t end = std::min((last + block - 1) / block * block, file_end);
        request.size_bytes = std::max(request.size_bytes, end - request.offset);
        return last - stretch.offset;
    }
    static std::uint64_t end_of(const ReadRequest& request) {
        return request.offset + request.size_bytes;
    }

    const Manifest& manifest_;
    ReadPlan& plan_;
};

ReadPlan join(const Manifest& manifest, std::vector<Stretch> stretches, bool copied) {
    std::stable_sort(stretches.begin(), stretches.end(), [](const Stretch& a, const Stretch& b) {
        return std::tie(a.shard, a.offset) < std::tie(b.shard, b.offset);
    });
    ReadPlan plan;
    Requests requests(manifest, plan);
    for (const Stretch& stretch : stretches) {
        requests.add(stretch, copied);
    }
    return plan;
}

Result<const StoredTensor*> find_alike(const Manifest& manifest, const TensorSpec& spec) {
    MPITRAIN_TRY_VOID(validate(spec));
    const auto at = fmt::format("tensor '{}'", spec.name);
    const StoredTensor* stored = manifest.find(spec.name);
    if (stored == nullptr) {
        return Error(ErrorCode::not_found, "the checkpoint has no such tensor")
            .at(at)
            .mend("is it of another model? 'mpitrain ckpt show' lists what it holds");
    }
    if (stored->dtype != spec.dtype || stored->shape != spec.shape) {
        return Error(ErrorCode::invalid_argument,
                     fmt::format("the checkpoint holds {}[{}], the program wants {}[{}]",
                                 to_string(stored->dtype),
                                 fmt::join(stored->shape, ", "),
                                 to_string(spec.dtype),
                                 fmt::join(spec.shape, ", ")))
            .at(at)
            .mend("is it of another model? 'mpitrain ckpt show' lists what it holds");
    }
    return stored;
}

// All that holds tensors' and blobs' bytes.
std::vector<Stretch> contents(const Manifest& manifest, std::size_t shard) {
    std::vector<Stretch> stretches;
    for (const StoredTensor& tensor : manifest.tensors) {
        for (const StoredBlock& block : tensor.blocks) {
            if (block.shard == shard) {
                stretches.push_back({shard,
                                     block.offset,
                                     *element_count(block.block.extent) * size_bytes(tensor.dtype),
                                     0,
                                     0});
            }
        }
    }
    for (const StoredBlob& blob : manifest.blobs) {
        if (blob.shard == shard && blob.size_bytes > 0) {
            stretches.push_back({shard, blob.offset, blob.size_bytes, 0, 0});
        }
    }
    return stretches;
}

}  // namespace

Result<ReadPlan> plan_read(const Manifest& manifest, std::span<const TensorSpec> wanted) {
    std::vector<Stretch> stretches;
    for (std::size_t target = 0; target < wanted.size(); ++target) {
        MPITRAIN_TRY(const StoredTensor* stored, find_alike(manifest, wanted[target]));
        const Block whole = resolved_block(wanted[target]);
        const std::uint64_t element = size_bytes(stored->dtype);
        for (const StoredBlock& source : stored->blocks) {
            const auto part = intersection(source.block, whole);
            if (!part) {
                continue;
            }
            for_each_run(*part, source.block, whole, [&](const Run& run) {
                stretches.push_back({source.shard,
                                     source.offset + run.from_index * element,
                                     run.count * element,
                                     target,
                                     run.to_index * element});
            });
        }
    }
    return join(manifest, std::move(stretches), true);
}

ReadPlan plan_read_blobs(const Manifest& manifest) {
    std::vector<Stretch> stretches;
    for (std::size_t target = 0; target < manifest.blobs.size(); ++target) {
        const StoredBlob& blob = manifest.blobs[target];
        if (blob.size_bytes > 0) {
            stretches.push_back({blob.shard, blob.offset, blob.size_bytes, target, 0});
        }
    }
    return join(manifest, std::move(stretches), true);
}

ReadPlan plan_read_rest(const Manifest& manifest, std::size_t shard) {
    const ReadPlan used = join(manifest, contents(manifest, shard), false);
    std::vector<Stretch> rest;
    std::uint64_t at = 0;
    for (const ReadRequest& request : used.requests) {
        if (request.offset > at) {
            rest.push_back({shard, at, request.offset - at, 0, 0});
        }
        at = std::max(at, request.offset + request.size_bytes);
    }
    const std::uint64_t end = manifest.shards[shard].size_bytes;
    if (end > at) {
        rest.push_back({shard, at, end - at, 0, 0});
    }
    return join(manifest, std::move(rest), false);
}

ReadPlan plan_read_all(const Manifest& manifest, std::size_t shard) {
    return join(manifest, {{shard, 0, manifest.shards[shard].size_bytes, 0, 0}}, false);
}

}  // namespace mpitrain::checkpoint
