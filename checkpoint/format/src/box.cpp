#include "mpitrain/checkpoint/box.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "mpitrain/base/assert.hpp"

namespace mpitrain::checkpoint {

std::optional<Block> intersection(const Block& a, const Block& b) {
    MPITRAIN_ASSERT(a.offset.size() == b.offset.size());
    Block part;
    for (std::size_t d = 0; d < a.offset.size(); ++d) {
        const std::uint64_t begin = std::max(a.offset[d], b.offset[d]);
        const std::uint64_t end = std::min(a.offset[d] + a.extent[d], b.offset[d] + b.extent[d]);
        if (begin >= end) {
            return std::nullopt;
        }
        part.offset.push_back(begin);
        part.extent.push_back(end - begin);
    }
    return part;
}

namespace {

// The dimension in which the boxes start at the most places: the best one to sweep along.
std::size_t widest_dimension(const std::vector<Block>& blocks) {
    std::size_t best = 0;
    std::size_t best_count = 0;
    for (std::size_t d = 0; d < blocks.front().offset.size(); ++d) {
        std::set<std::uint64_t> starts;
        for (const Block& block : blocks) {
            starts.insert(block.offset[d]);
        }
        if (starts.size() > best_count) {
            best = d;
            best_count = starts.size();
        }
    }
    return best;
}

std::string overlap_fault(const std::vector<Block>& blocks) {
    if (blocks.size() < 2) {
        return "";
    }
    if (blocks.front().offset.empty()) {
        return "a scalar is given twice";
    }
    const std::size_t along = widest_dimension(blocks);
    std::vector<std::size_t> order(blocks.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return blocks[a].offset[along] < blocks[b].offset[along];
    });
    for (std::size_t i = 0; i < order.size(); ++i) {
        const Block& one = blocks[order[i]];
        const std::uint64_t end = one.offset[along] + one.extent[along];
        for (std::size_t j = i + 1; j < order.size(); ++j) {
            const Block& other = blocks[order[j]];
            if (other.offset[along] >= end) {
                break;
            }
            if (const auto part = intersection(one, other)) {
                return fmt::format("two different blocks both hold the element at [{}]",
                                   fmt::join(part->offset, ", "));
            }
        }
    }
    return "";
}

}  // namespace

std::string coverage_fault(const std::vector<std::uint64_t>& shape,
                           const std::vector<Block>& blocks) {
    std::uint64_t covered = 0;
    for (const Block& block : blocks) {
        for (std::size_t d = 0; d < shape.size(); ++d) {
            if (block.extent[d] > shape[d] || block.offset[d] > shape[d] - block.extent[d]) {
                return fmt::format("a block reaches beyond the shape [{}]", fmt::join(shape, ", "));
            }
        }
        covered += *element_count(block.extent);
    }
    if (std::string fault = overlap_fault(blocks); !fault.empty()) {
        return fault;
    }
    const std::uint64_t wanted = *element_count(shape);
    if (covered != wanted) {
        return fmt::format("the blocks hold {} of {} elements", covered, wanted);
    }
    return "";
}

void for_each_run(const Block& part,
                  const Block& from,
                  const Block& to,
                  const std::function<void(const Run&)>& visit) {
    const std::size_t dimensions = part.offset.size();
    // Dimensions from `inner` on are whole in both blocks, so one run spans them, and as much of
    // the dimension before them as `part` has.
    std::size_t inner = dimensions;
    while (inner > 0 && part.extent[inner - 1] == from.extent[inner - 1] &&
           part.extent[inner - 1] == to.extent[inner - 1]) {
        --inner;
    }
    const std::size_t outer = inner == 0 ? 0 : inner - 1;
    Run run{.from_index = 0, .to_index = 0, .count = 1};
    for (std::size_t d = outer; d < dimensions; ++d) {
        run.count *= part.extent[d];
    }
    std::vector<std::uint64_t> position(outer, 0);  // within `part`
    for (;;) {
        run.from_index = 0;
        run.to_index = 0;
        for (std::size_t d = 0; d < dimensions; ++d) {
            const std::uint64_t at = part.offset[d] + (d < outer ? position[d] : 0);
            run.from_index = run.from_index * from.extent[d] + (at - from.offset[d]);
            run.to_index = run.to_index * to.extent[d] + (at - to.offset[d]);
        }
        visit(run);
        std::size_t d = outer;
        while (d > 0 && ++position[d - 1] == part.extent[d - 1]) {
            position[--d] = 0;
        }
        if (d == 0) {
            return;
        }
    }
}

std::vector<Block> split(const Block& block, std::uint64_t count) {
    const auto longer = [](std::uint64_t extent) { return extent > 1; };
    const auto first = std::find_if(block.extent.begin(), block.extent.end(), longer);
    if (first == block.extent.end() || count <= 1) {
        return {block};
    }
    const auto along = static_cast<std::size_t>(first - block.extent.begin());
    const std::uint64_t length = block.extent[along];
    count = std::min(count, length);
    std::vector<Block> parts;
    std::uint64_t begin = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::uint64_t rows = length / count + (i < length % count ? 1 : 0);
        Block part = block;
        part.offset[along] += begin;
        part.extent[along] = rows;
        parts.push_back(std::move(part));
        begin += rows;
    }
    return parts;
}

}  // namespace mpitrain::checkpoint
