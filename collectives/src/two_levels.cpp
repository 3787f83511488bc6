#include "two_levels.hpp"

#include <algorithm>
#include <bit>
#include <vector>

#include "buffers.hpp"

namespace mpitrain::collectives {

namespace {

template <typename T>
void divide(Buffer data, int ranks) {
    auto* elements = static_cast<T*>(data.data);
    for (std::size_t i = 0; i < data.count; ++i) {
        elements[i] /= static_cast<T>(ranks);
    }
}

}  // namespace

Result<void> TwoLevels::Rail::transfer(std::span<const Outgoing> outgoing,
                                       std::span<const Incoming> incoming,
                                       std::string_view call) {
    std::vector<Outgoing> out(outgoing.begin(), outgoing.end());
    std::vector<Incoming> in(incoming.begin(), incoming.end());
    for (Outgoing& message : out) {
        message.to = rank_on(message.to);
    }
    for (Incoming& message : in) {
        message.from = rank_on(message.from);
    }
    return all_.transfer(out, in, call);
}

TwoLevels::TwoLevels(NodeCollectives& inside, Transport& messages, const Shape& shape)
    : inside_(inside),
      shape_(shape),
      rail_(messages, shape),
      across_(rail_, shape.rank / shape.per_node, shape.nodes, shape.segment_bytes) {}

bool TwoLevels::keeps_rank_tree() const {
    return std::has_single_bit(static_cast<unsigned>(shape_.per_node));
}

bool TwoLevels::can_do(DataType type, ReduceOp op) {
    const bool floating = type == DataType::f32 || type == DataType::f64;
    const bool half = type == DataType::f16 || type == DataType::bf16;
    return floating || (!half && op != ReduceOp::avg);
}

Result<void> TwoLevels::allreduce(ConstBuffer send, Buffer recv, ReduceOp op) {
    const auto parts = static_cast<std::size_t>(shape_.per_node);
    const auto local = static_cast<std::size_t>(shape_.rank % shape_.per_node);
    const ReduceOp step_op = op == ReduceOp::avg ? ReduceOp::sum : op;
    const std::size_t most = shape_.segment_bytes / size_bytes(send.type);
    return in_segments(send.count, most, [&](std::size_t begin, std::size_t count) -> Result<void> {
        std::vector<Slice> slices;
        for (std::size_t r = 0; r < parts; ++r) {
            const std::size_t from = count * r / parts;
            slices.push_back({from, count * (r + 1) / parts - from});
        }
        const Buffer into = part(recv, begin, count);
        const Buffer own = part(into, slices[local].begin, slices[local].count);
        MPITRAIN_TRY_VOID(inside_.reduce_scatter(part(send, begin, count), slices, step_op, own));
        if (own.count > 0) {
            MPITRAIN_TRY_VOID(across_.allreduce(own, own, step_op));
        }
        if (op == ReduceOp::avg) {
            const int ranks = shape_.per_node * shape_.nodes;
            own.type == DataType::f32 ? divide<float>(own, ranks) : divide<double>(own, ranks);
        }
        return inside_.allgather(into, slices);
    });
}

}  // namespace mpitrain::collectives
