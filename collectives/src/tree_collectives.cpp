#include "tree_collectives.hpp"

#include <algorithm>

#include "buffers.hpp"

namespace mpitrain::collectives {

namespace {

constexpr std::size_t gathered_bytes_max = std::size_t{64} << 10;  // received by each rank

}  // namespace

std::vector<Slice> TreeCollectives::equal_slices(std::size_t begin, std::size_t count) const {
    const auto parts = static_cast<std::size_t>(size_);
    std::vector<Slice> slices;
    for (std::size_t r = 0; r < parts; ++r) {
        const std::size_t from = count / parts * r + std::min(r, count % parts);
        slices.push_back({begin + from, count / parts + (r < count % parts ? 1 : 0)});
    }
    return slices;
}

Result<std::byte*> TreeCollectives::reduce_slices(ConstBuffer send,
                                                  std::span<const Slice> slices,
                                                  ReduceOp op,
                                                  std::byte* out,
                                                  std::string_view call) {
    const auto rank = static_cast<std::size_t>(rank_);
    const Slice own = slices[rank];
    const std::size_t own_bytes = own.count * size_bytes(send.type);
    MPITRAIN_TRY(std::byte* const received, transport_.scratch(slices.size() * own_bytes));
    std::vector<Outgoing> outgoing;
    std::vector<Incoming> incoming;
    for (int d = 1; d < size_; ++d) {
        const auto other = static_cast<std::size_t>(peer(d));
        const Slice theirs = slices[other];
        outgoing.push_back({peer(d), at(send, theirs.begin), theirs.count * size_bytes(send.type)});
        incoming.push_back({peer(d), received + other * own_bytes, own_bytes});
    }
    MPITRAIN_TRY_VOID(transport_.transfer(outgoing, incoming, call));
    if (out == nullptr) {
        out = received + rank * own_bytes;
    }
    const Pieces pieces{received, own_bytes, rank_, at(send, own.begin), size_};
    MPITRAIN_TRY_VOID(transport_.combine(pieces, own.count, send.type, op, out));
    return out;
}

Result<void> TreeCollectives::allreduce_gathered(ConstBuffer send, Buffer recv, ReduceOp op) {
    const auto ranks = static_cast<std::size_t>(size_);
    MPITRAIN_TRY(std::byte* const received, transport_.scratch(ranks * send.bytes()));
    std::vector<Outgoing> outgoing;
    std::vector<Incoming> incoming;
    for (int d = 1; d < size_; ++d) {
        std::byte* piece = received + static_cast<std::size_t>(peer(d)) * send.bytes();
        outgoing.push_back({peer(d), at(send, 0), send.bytes()});
        incoming.push_back({peer(d), piece, send.bytes()});
    }
    MPITRAIN_TRY_VOID(transport_.transfer(outgoing, incoming, "allreduce"));
    const Pieces pieces{received, send.bytes(), rank_, send.data, size_};
    return transport_.combine(pieces, send.count, send.type, op, recv.data);
}

Result<void> TreeCollectives::allreduce(ConstBuffer send, Buffer recv, ReduceOp op) {
    if (static_cast<std::size_t>(size_) * send.bytes() <= gathered_bytes_max || size_ == 1) {
        return allreduce_gathered(send, recv, op);
    }
    const std::size_t most = segment_bytes_ / size_bytes(send.type);
    return in_segments(send.count, most, [&](std::size_t begin, std::size_t count) -> Result<void> {
        const auto slices = equal_slices(begin, count);
        std::byte* own = at(recv, slices[static_cast<std::size_t>(rank_)].begin);
        MPITRAIN_TRY_VOID(reduce_slices(send, slices, op, own, "allreduce"));
        return spread_slices(recv, slices, "allreduce");
    });
}

Result<void> TreeCollectives::reduce(ConstBuffer send, Buffer recv, ReduceOp op, int root) {
    const std::size_t most = segment_bytes_ / size_bytes(send.type);
    return in_segments(send.count, most, [&](std::size_t begin, std::size_t count) -> Result<void> {
        const auto slices = equal_slices(begin, count);
        const Slice own = slices[static_cast<std::size_t>(rank_)];
        std::byte* out = rank_ == root ? at(recv, own.begin) : nullptr;
        MPITRAIN_TRY(const std::byte* reduced, reduce_slices(send, slices, op, out, "reduce"));
        std::vector<Outgoing> outgoing;
        std::vector<Incoming> incoming;
        if (rank_ != root) {
            outgoing.push_back({root, reduced, own.count * size_bytes(send.type)});
        }
        for (int d = 1; d < size_ && rank_ == root; ++d) {
            const Slice theirs = slices[static_cast<std::size_t>(peer(d))];
            incoming.push_back(
                {peer(d), at(recv, theirs.begin), theirs.count * size_bytes(send.type)});
        }
        return transport_.transfer(outgoing, incoming, "reduce");
    });
}

Result<void> TreeCollectives::reduce_scatter(ConstBuffer send, Buffer recv, ReduceOp op) {
    const auto ranks = static_cast<std::size_t>(size_);
    const std::size_t most =
        std::max<std::size_t>(segment_bytes_ / size_bytes(send.type) / ranks, 1);
    return in_segments(recv.count, most, [&](std::size_t begin, std::size_t count) -> Result<void> {
        std::vector<Slice> slices;
        for (std::size_t r = 0; r < ranks; ++r) {
            slices.push_back({r * recv.count + begin, count});
        }
        MPITRAIN_TRY_VOID(reduce_slices(send, slices, op, at(recv, begin), "reduce_scatter"));
        return {};
    });
}

Result<void> TreeCollectives::allgather(ConstBuffer send, Buffer recv) {
    std::byte* own = at(recv, static_cast<std::size_t>(rank_) * send.count);
    if (own != send.data) {
        MPITRAIN_TRY_VOID(transport_.copy(own, send.data, send.bytes()));
    }
    std::vector<Slice> slices;
    for (int r = 0; r < size_; ++r) {
        slices.push_back({static_cast<std::size_t>(r) * send.count, send.count});
    }
    return spread_slices(recv, slices, "allgather");
}

Result<void> TreeCollectives::spread_slices(Buffer data,
                                            std::span<const Slice> slices,
                                            std::string_view call) {
    std::vector<Outgoing> outgoing;
    std::vector<Incoming> incoming;
    const Slice own = slices[static_cast<std::size_t>(rank_)];
    for (int d = 1; d < size_; ++d) {
        const Slice theirs = slices[static_cast<std::size_t>(peer(d))];
        outgoing.push_back({peer(d), at(data, own.begin), own.count * size_bytes(data.type)});
        incoming.push_back({peer(d), at(data, theirs.begin), theirs.count * size_bytes(data.type)});
    }
    return transport_.transfer(outgoing, incoming, call);
}

Result<void> TreeCollectives::all_to_all(ConstBuffer send, Buffer recv) {
    const std::size_t count = send.count / static_cast<std::size_t>(size_);
    const std::size_t bytes = count * size_bytes(send.type);
    std::vector<Outgoing> outgoing;
    std::vector<Incoming> incoming;
    for (int d = 1; d < size_; ++d) {
        const std::size_t begin = static_cast<std::size_t>(peer(d)) * count;
        outgoing.push_back({peer(d), at(send, begin), bytes});
        incoming.push_back({peer(d), at(recv, begin), bytes});
    }
    const std::size_t own = static_cast<std::size_t>(rank_) * count;
    MPITRAIN_TRY_VOID(transport_.copy(at(recv, own), at(send, own), bytes));
    return transport_.transfer(outgoing, incoming, "all_to_all");
}

}  // namespace mpitrain::collectives
