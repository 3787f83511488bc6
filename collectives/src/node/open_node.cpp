// How MpiBackend finds the ranks of its node and attaches the memory they share.
#include <sys/random.h>

#include <algorithm>

#include "mpi_backend.hpp"
#include "mpi_call.hpp"

namespace mpitrain::collectives {

Result<void> MpiBackend::gather(std::span<const std::byte> mine, std::span<std::byte> all) {
    MPITRAIN_TRY(const int bytes, narrow_count(mine.size()));
    MPI_Request request = MPI_REQUEST_NULL;
    if (const int code = MPI_Iallgather(
            mine.data(), bytes, MPI_BYTE, all.data(), bytes, MPI_BYTE, comm_, &request)) {
        return died(mpi_error(code, "MPI_Iallgather"));
    }
    return wait({&request, 1}, "opening a communicator");
}

// The lowest rank of a node creates the segment, and the rest open it through their leader's entry
// in /proc: nothing has a name that could be left behind.
Result<std::unique_ptr<NodeGroup>> MpiBackend::attach_node(const NodeMap& map) {
    const std::size_t bytes = NodeGroup::bytes_for(map.shape);
    std::optional<SharedSegment> segment;
    SegmentAddress address;
    if (map.shape.member == 0 && map.shape.ranks.size() > 1) {
        if (auto created = SharedSegment::create(bytes)) {
            segment.emplace(*std::move(created));
            address = segment->address();
        }
    }
    std::vector<SegmentAddress> all(static_cast<std::size_t>(size_));
    MPITRAIN_TRY_VOID(
        gather(std::as_bytes(std::span(&address, 1)), std::as_writable_bytes(std::span(all))));
    const SegmentAddress& leaders = all[static_cast<std::size_t>(map.shape.ranks[0])];
    if (!segment && leaders.fd >= 0) {
        if (auto attached = SharedSegment::attach(leaders, bytes)) {
            segment.emplace(*std::move(attached));
        }
    }
    const bool seated = segment && segment->take_seat(map.shape.member);
    const bool alone = map.shape.ranks.size() == 1;
    const std::uint8_t able = seated || alone ? 1 : 0;
    std::vector<std::uint8_t> everyone(static_cast<std::size_t>(size_));
    MPITRAIN_TRY_VOID(
        gather(std::as_bytes(std::span(&able, 1)), std::as_writable_bytes(std::span(everyone))));
    // All or none, since a collective of some ranks through memory and of some by messages is none.
    if (!seated || std::find(everyone.begin(), everyone.end(), 0) != everyone.end()) {
        return std::unique_ptr<NodeGroup>();
    }
    return std::make_unique<NodeGroup>(*std::move(segment), map.shape, options_.deadline);
}

Result<void> MpiBackend::share_memory(const Seat& seat) {
    seat_ = seat;
    if (getrandom(&seat_.draw, sizeof seat_.draw, 0) != sizeof seat_.draw) {
        seat_.draw = 0;  // the recorder then cannot tell this group from others; nothing else
    }
    std::vector<Seat> seats(static_cast<std::size_t>(size_));
    MPITRAIN_TRY_VOID(
        gather(std::as_bytes(std::span(&seat_, 1)), std::as_writable_bytes(std::span(seats))));
    group_ = seats[0].draw;
    if (size_ == 1 || !options_.shared_memory) {
        return {};
    }
    const NodeMap map = map_nodes(seats, rank_, in_background_);
    MPITRAIN_TRY(node_, attach_node(map));
    if (!node_) {
        return {};
    }
    inside_.emplace(*node_);
    if (map.regular && map.nodes > 1) {
        levels_.emplace(*inside_,
                        *this,
                        TwoLevels::Shape{.rank = rank_,
                                         .per_node = node_->size(),
                                         .nodes = map.nodes,
                                         .segment_bytes = segment_bytes});
        if (!levels_->keeps_rank_tree() && options_.order == ReductionOrder::rank_tree) {
            levels_.reset();
        }
    }
    return {};
}

}  // namespace mpitrain::collectives
