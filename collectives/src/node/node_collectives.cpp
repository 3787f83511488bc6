#include "node/node_collectives.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "buffers.hpp"
#include "mpitrain/base/stream_copy.hpp"
#include "tree_reduce.hpp"

namespace mpitrain::collectives {

namespace {

constexpr int to_all = -1;
constexpr std::size_t line_bytes = 64;
// Up to here one signal instead of two is worth that everyone combines everything.
constexpr std::size_t alone_bytes_max = std::size_t{16} << 10;
// From here on results are written past the cache, where they would only push others out, and
// where a line need not be read before it is overwritten.
constexpr std::size_t stream_bytes_min = std::size_t{8} << 20;

enum class Call : std::uint32_t {
    allreduce = 1,
    reduce,
    reduce_scatter,
    allgather,
    broadcast,
    all_to_all,
    barrier
};

// One number for what all members must agree on.
std::uint32_t number_of(Call call,
                        std::size_t count,
                        DataType type,
                        std::optional<ReduceOp> op = std::nullopt,
                        int root = to_all) {
    std::uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a, a word at a time
    for (const std::uint64_t word : {static_cast<std::uint64_t>(call),
                                     static_cast<std::uint64_t>(count),
                                     static_cast<std::uint64_t>(type),
                                     op ? static_cast<std::uint64_t>(*op) + 1 : 0,
                                     static_cast<std::uint64_t>(root)}) {
        hash = (hash ^ word) * 0x100000001b3U;
    }
    return static_cast<std::uint32_t>(hash ^ (hash >> 32U));
}

void copy(void* to, const void* from, std::size_t bytes, bool stream) {
    if (stream) {
        stream_copy(to, from, bytes);
    } else if (bytes > 0) {
        std::memcpy(to, from, bytes);
    }
}

}  // namespace

NodeCollectives::NodeCollectives(NodeGroup& group)
    : group_(group), pieces_(static_cast<std::size_t>(group.size())) {}

Slice NodeCollectives::share_of(int member, std::size_t count, std::size_t element_bytes) const {
    const auto members = static_cast<std::size_t>(group_.size());
    const std::size_t per_line = line_bytes / element_bytes;
    const std::size_t lines = (count + per_line - 1) / per_line;
    const std::size_t most = (lines + members - 1) / members * per_line;
    const std::size_t begin = std::min(count, static_cast<std::size_t>(member) * most);
    return {begin, std::min(most, count - begin)};
}

void NodeCollectives::combine(
    std::uint32_t step, std::size_t offset, ConstBuffer own, ReduceOp op, void* out) {
    for (int m = 0; m < group_.size(); ++m) {
        pieces_[static_cast<std::size_t>(m)] = group_.outbox(m, step) + offset;
    }
    pieces_[static_cast<std::size_t>(group_.member())] = own.data;
    reduce_tree(pieces_, own.count, own.type, op, out);
}

Result<void> NodeCollectives::allreduce(ConstBuffer send, Buffer recv, ReduceOp op) {
    group_.announce(number_of(Call::allreduce, send.count, send.type, op));
    if (send.bytes() <= alone_bytes_max) {
        return allreduce_alone(send, recv, op);
    }
    return reduce_shared(send, recv, op, to_all);
}

Result<void> NodeCollectives::reduce(ConstBuffer send, Buffer recv, ReduceOp op, int root) {
    group_.announce(number_of(Call::reduce, send.count, send.type, op, root));
    return reduce_shared(send, recv, op, root);
}

Result<void> NodeCollectives::allreduce_alone(ConstBuffer send, Buffer recv, ReduceOp op) {
    const std::uint32_t step = group_.next_step();
    std::memcpy(group_.outbox(group_.member(), step), send.data, send.bytes());
    group_.pass(Gate::filled, step);
    MPITRAIN_TRY_VOID(group_.await_all(Gate::filled, step, "allreduce"));
    combine(step, 0, send, op, recv.data);
    return {};
}

void NodeCollectives::fill_others_slices(ConstBuffer segment, std::uint32_t step) {
    const std::size_t element = size_bytes(segment.type);
    std::byte* outbox = group_.outbox(group_.member(), step);
    for (int distance = 1; distance < group_.size(); ++distance) {
        const int other = (group_.member() + distance) % group_.size();
        const Slice slice = share_of(other, segment.count, element);
        if (slice.count > 0) {
            std::memcpy(
                outbox + slice.begin * element, at(segment, slice.begin), slice.count * element);
        }
    }
    group_.pass(Gate::filled, step);
}

Result<void> NodeCollectives::take_results(Buffer segment, std::uint32_t step, bool stream) {
    const std::size_t element = size_bytes(segment.type);
    for (int distance = 0; distance < group_.size(); ++distance) {
        const int other = (group_.member() + distance) % group_.size();
        const Slice slice = share_of(other, segment.count, element);
        MPITRAIN_TRY_VOID(group_.await(Gate::reduced, other, step, "allreduce"));
        copy(at(segment, slice.begin), group_.result(other, step), slice.count * element, stream);
    }
    return {};
}

Result<void> NodeCollectives::reduce_shared(ConstBuffer send, Buffer recv, ReduceOp op, int root) {
    const bool takes = root == to_all || root == group_.member();
    const bool stream = takes && recv.bytes() >= stream_bytes_min && send.data != recv.data;
    const std::size_t most = group_.outbox_bytes() / size_bytes(send.type);
    std::uint32_t step = group_.next_step();
    fill_others_slices(part(send, 0, std::min(most, send.count)), step);
    for (std::size_t begin = 0; begin < send.count; begin += most) {
        const std::size_t count = std::min(most, send.count - begin);
        const Slice own = share_of(group_.member(), count, size_bytes(send.type));
        MPITRAIN_TRY_VOID(group_.await_all(Gate::filled, step, "allreduce"));
        combine(step,
                own.begin * size_bytes(send.type),
                part(send, begin + own.begin, own.count),
                op,
                group_.result(group_.member(), step));
        group_.pass(Gate::reduced, step);
        const std::uint32_t reduced_step = step;
        if (begin + count < send.count) {  // while the others reduce
            step = group_.next_step();
            const std::size_t next = begin + count;
            fill_others_slices(part(send, next, std::min(most, send.count - next)), step);
        }
        if (takes) {
            MPITRAIN_TRY_VOID(take_results(part(recv, begin, count), reduced_step, stream));
        }
    }
    if (stream) {
        stream_fence();
    }
    return {};
}

Result<void> NodeCollectives::reduce_scatter(ConstBuffer send,
                                             std::span<const Slice> slices,
                                             ReduceOp op,
                                             Buffer out) {
    group_.announce(number_of(Call::reduce_scatter, send.count, send.type, op));
    const std::size_t element = size_bytes(send.type);
    // Of every slice in one step; a whole number of cache lines.
    const std::size_t most =
        group_.outbox_bytes() / slices.size() / line_bytes * line_bytes / element;
    std::size_t longest = 0;
    for (const Slice& slice : slices) {
        longest = std::max(longest, slice.count);
    }
    const auto own_index = static_cast<std::size_t>(group_.member());
    for (std::size_t begin = 0; begin < longest; begin += most) {
        const std::uint32_t step = group_.next_step();
        std::byte* outbox = group_.outbox(group_.member(), step);
        const auto piece_of = [&](std::size_t m) {
            const std::size_t from = std::min(begin, slices[m].count);
            return part(send, slices[m].begin + from, std::min(most, slices[m].count - from));
        };
        for (std::size_t m = 0; m < slices.size(); ++m) {
            const ConstBuffer piece = piece_of(m);
            copy(
                outbox + m * most * element, piece.data, m == own_index ? 0 : piece.bytes(), false);
        }
        group_.pass(Gate::filled, step);
        MPITRAIN_TRY_VOID(group_.await_all(Gate::filled, step, "reduce_scatter"));
        const ConstBuffer own = piece_of(own_index);
        combine(step, own_index * most * element, own, op, at(out, std::min(begin, out.count)));
    }
    return {};
}

Result<void> NodeCollectives::allgather(Buffer data, std::span<const Slice> slices) {
    group_.announce(number_of(Call::allgather, data.count, data.type));
    const std::size_t element = size_bytes(data.type);
    const std::size_t most = group_.outbox_bytes() / element;
    std::size_t longest = 0;
    for (const Slice& slice : slices) {
        longest = std::max(longest, slice.count);
    }
    const bool stream = data.bytes() >= stream_bytes_min;
    const auto piece_of = [&](int member, std::size_t begin) {
        const Slice& slice = slices[static_cast<std::size_t>(member)];
        const std::size_t from = std::min(begin, slice.count);
        return part(data, slice.begin + from, std::min(most, slice.count - from));
    };
    for (std::size_t begin = 0; begin < longest; begin += most) {
        const std::uint32_t step = group_.next_step();
        const Buffer own = piece_of(group_.member(), begin);
        copy(group_.outbox(group_.member(), step), own.data, own.bytes(), false);
        group_.pass(Gate::filled, step);
        for (int distance = 1; distance < group_.size(); ++distance) {
            const int other = (group_.member() + distance) % group_.size();
            const Buffer theirs = piece_of(other, begin);
            MPITRAIN_TRY_VOID(group_.await(Gate::filled, other, step, "allgather"));
            copy(theirs.data, group_.outbox(other, step), theirs.bytes(), stream);
        }
    }
    if (stream) {
        stream_fence();
    }
    return {};
}

Result<void> NodeCollectives::broadcast(Buffer data, int root) {
    group_.announce(number_of(Call::broadcast, data.count, data.type, std::nullopt, root));
    const std::size_t most = group_.outbox_bytes() / size_bytes(data.type);
    const bool is_root = group_.member() == root;
    return in_segments(data.count, most, [&](std::size_t begin, std::size_t count) -> Result<void> {
        const std::uint32_t step = group_.next_step();
        const Buffer segment = part(data, begin, count);
        if (is_root) {
            copy(group_.outbox(root, step), segment.data, segment.bytes(), false);
        }
        group_.pass(Gate::filled, step);
        MPITRAIN_TRY_VOID(group_.await_all(Gate::filled, step, "broadcast"));
        if (!is_root) {
            copy(segment.data, group_.outbox(root, step), segment.bytes(), false);
        }
        return {};
    });
}

Result<void> NodeCollectives::all_to_all(ConstBuffer send, Buffer recv) {
    group_.announce(number_of(Call::all_to_all, send.count, send.type));
    const auto members = static_cast<std::size_t>(group_.size());
    const auto own = static_cast<std::size_t>(group_.member());
    const std::size_t element = size_bytes(send.type);
    const std::size_t each = send.count / members;
    const std::size_t most = group_.outbox_bytes() / members / element;
    return in_segments(each, most, [&](std::size_t begin, std::size_t count) -> Result<void> {
        const std::uint32_t step = group_.next_step();
        std::byte* outbox = group_.outbox(group_.member(), step);
        for (std::size_t m = 0; m < members; ++m) {
            std::byte* to = m == own ? at(recv, own * each + begin) : outbox + m * most * element;
            std::memcpy(to, at(send, m * each + begin), count * element);
        }
        group_.pass(Gate::filled, step);
        for (std::size_t distance = 1; distance < members; ++distance) {
            const std::size_t other = (own + distance) % members;
            const auto member = static_cast<int>(other);
            MPITRAIN_TRY_VOID(group_.await(Gate::filled, member, step, "all_to_all"));
            std::memcpy(at(recv, other * each + begin),
                        group_.outbox(member, step) + own * most * element,
                        count * element);
        }
        return {};
    });
}

Result<void> NodeCollectives::barrier() {
    group_.announce(number_of(Call::barrier, 0, DataType::u8));
    const std::uint32_t step = group_.next_step();
    group_.pass(Gate::filled, step);
    return group_.await_all(Gate::filled, step, "barrier");
}

}  // namespace mpitrain::collectives
