#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "mpitrain/base/duration.hpp"
#include "mpitrain/base/result.hpp"
#include "node/shared_segment.hpp"

namespace mpitrain::collectives {

// The two points in a step that members of a group wait for each other at.
enum class Gate : std::uint8_t {
    filled,   // the member's outbox holds what others may read
    reduced,  // the member's result does
};

struct NodeShape {
    int member = 0;                // this one, within the node
    std::vector<int> ranks;        // of all members, ascending: their names in errors
    bool crowded = false;          // more members than cores: waiting gives the core away at once
    std::size_t outbox_bytes = 0;  // of each member, twice
    bool gives_way = false;        // waiting leaves the core to another thread of the rank at once
};

// The ranks of one node and the memory they share: for each member two outboxes and two results,
// used in turn, and the number of the last step for which it passed each gate.
//
// A step is one filling of the outboxes. The rules that keep a member from overwriting what another
// still reads, without any further signal:
//  1. A member fills its outbox for step s only after all have passed `filled` of step s - 1.
//  2. It passes `filled` of step s only when it is done reading the outboxes of step s - 1 and the
//     results of step s - 2.
//  3. It writes its result of step s only after all have passed `filled` of step s.
// So whoever fills outbox s % 2 knows that nobody reads what it held in step s - 2, and the same
// for results. Every member passes `filled` of every step, in order.
class NodeGroup {
  public:
    // How much memory a group needs.
    static std::size_t bytes_for(const NodeShape& shape);
    // All members construct theirs over the same segment, with a shape that differs in `member`.
    NodeGroup(SharedSegment segment, NodeShape shape, Nanoseconds deadline);

    [[nodiscard]] int member() const { return shape_.member; }
    [[nodiscard]] int size() const { return static_cast<int>(shape_.ranks.size()); }
    [[nodiscard]] std::size_t outbox_bytes() const { return shape_.outbox_bytes; }
    [[nodiscard]] std::byte* outbox(int member, std::uint32_t step) const;
    [[nodiscard]] std::byte* result(int member, std::uint32_t step) const;

    [[nodiscard]] std::uint32_t next_step() { return ++step_; }
    // What the following steps are for, as a number that must be the same on all members: one that
    // made another call, or gave another count, is then noticed in the first step.
    void announce(std::uint32_t call) { call_ = call; }
    void pass(Gate gate, std::uint32_t step);
    // Waits for one member, or for all. Spins, then gives the core away, then sleeps. Errors, all
    // naming the rank: deadline_exceeded, unavailable (a member is gone, or has given up),
    // invalid_argument (a member announced another call).
    Result<void> await(Gate gate, int member, std::uint32_t step, std::string_view call) {
        if (!passed(gate, member, step)) {
            MPITRAIN_TRY_VOID(await_slowly(gate, member, step, call));
        }
        return gate == Gate::reduced || agrees(member, step) ? Result<void>()
                                                             : disagreement(member, call);
    }
    Result<void> await_all(Gate gate, std::uint32_t step, std::string_view call);
    // Tells the others that this member takes no further step. Never waits.
    void give_up();

  private:
    struct Signal {
        std::atomic<std::uint32_t> step;      // a futex word
        std::atomic<std::uint32_t> sleepers;  // whether anyone may sleep on it
    };
    struct alignas(128) Line {  // two cache lines, since some processors fetch pairs
        std::array<Signal, 2> signals;
        std::array<std::atomic<std::uint32_t>, 2> calls;  // announced; of even and odd steps
    };
    struct Head {
        std::array<std::uint64_t, 2> nonce;
        std::atomic<std::uint32_t> given_up;  // 1 + the first member that did
    };
    static constexpr std::size_t head_bytes = 4096;

    [[nodiscard]] Head& head() const;
    [[nodiscard]] Line& line(int member) const;
    [[nodiscard]] Signal& signal(Gate gate, int member) const {
        return line(member).signals[static_cast<std::size_t>(gate)];
    }
    [[nodiscard]] bool passed(Gate gate, int member, std::uint32_t step) const {
        // Steps wrap around; members are never more than a few apart.
        const auto at = signal(gate, member).step.load(std::memory_order_acquire);
        return static_cast<std::int32_t>(at - step) >= 0;
    }
    // Nobody can be two steps further than a member that still looks at this one.
    [[nodiscard]] bool agrees(int member, std::uint32_t step) const {
        return line(member).calls[step % 2].load(std::memory_order_relaxed) == call_;
    }
    [[nodiscard]] Error disagreement(int member, std::string_view call) const;
    [[nodiscard]] std::size_t result_bytes() const;
    Result<void> await_slowly(Gate gate, int member, std::uint32_t step, std::string_view call);
    // Sleeps until the gate is passed; `waited` is how long the wait has taken already.
    Result<void> sleep_until_passed(Gate gate,
                                    int member,
                                    std::uint32_t step,
                                    std::string_view call);

    SharedSegment segment_;
    NodeShape shape_;
    Nanoseconds deadline_;
    std::uint32_t step_ = 0;
    std::uint32_t call_ = 0;
};

}  // namespace mpitrain::collectives
