#include "mpitrain/collectives/communicator.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <span>
#include <thread>

#include "mpitrain/collectives/mpi_interop.hpp"
#include "mpitrain/collectives/nccl.hpp"
#include "reference.hpp"

namespace mpitrain::collectives {
namespace {

using testing::as_double;
using testing::element_of;
using testing::input_of;
using testing::reference_of;
using testing::tolerance_of;

bool same_bits(ConstBuffer a, ConstBuffer b) {
    return a.bytes() == b.bytes() &&
           (a.bytes() == 0 || std::memcmp(a.data, b.data, a.bytes()) == 0);
}

constexpr ReduceOp all_ops[] = {
    ReduceOp::sum, ReduceOp::prod, ReduceOp::min, ReduceOp::max, ReduceOp::avg};
// None, one, odd, on both sides of the change of algorithm, and several segments.
constexpr std::size_t counts[] = {0, 1, 7, 1001, 40000};
constexpr std::size_t count_many_segments = (std::size_t{20} << 20) / sizeof(float) + 3;

Communicator world(ReductionOrder order = ReductionOrder::rank_tree,
                   Nanoseconds deadline = std::chrono::seconds(20)) {
    auto opened = communicator_from_mpi(MPI_COMM_WORLD, {.order = order, .deadline = deadline});
    EXPECT_TRUE(opened) << opened.error().text();
    return *std::move(opened);
}

template <typename T>
class Operations : public ::testing::Test {
  protected:
    static void expect_element(T got, int ranks, std::size_t index, ReduceOp op, bool each_step) {
        const double want = reference_of<T>(ranks, index, op);
        const double slack = tolerance_of<T>(ranks, each_step) * (3.1 * ranks);
        ASSERT_NEAR(as_double(got), want, slack) << to_string(op) << " at " << index;
    }
};
using Elements =
    ::testing::Types<double, float, Float16, BFloat16, std::int32_t, std::int64_t, std::uint8_t>;
TYPED_TEST_SUITE(Operations, Elements);

TYPED_TEST(Operations, AllreduceEqualsTheReference) {
    for (const auto order : {ReductionOrder::rank_tree, ReductionOrder::any}) {
        Communicator comm = world(order);
        for (const ReduceOp op : all_ops) {
            for (const std::size_t count : counts) {
                const auto send = input_of<TypeParam>(comm.rank(), count, op);
                std::vector<TypeParam> recv(count);
                ASSERT_TRUE(comm.allreduce(send, recv, op));
                auto in_place = send;
                ASSERT_TRUE(comm.allreduce(in_place, op));
                if (order == ReductionOrder::rank_tree) {
                    EXPECT_TRUE(same_bits(recv, in_place));
                }
                for (std::size_t i = 0; i < count; ++i) {
                    const bool each_step = order == ReductionOrder::any;
                    this->expect_element(recv[i], comm.size(), i, op, each_step);
                    this->expect_element(in_place[i], comm.size(), i, op, each_step);
                }
            }
        }
    }
}

TYPED_TEST(Operations, ReduceGivesTheRootTheBitsOfAllreduce) {
    Communicator comm = world();
    for (const ReduceOp op : all_ops) {
        for (const std::size_t count : counts) {
            const int root = static_cast<int>(count) % comm.size();
            auto data = input_of<TypeParam>(comm.rank(), count, op);
            std::vector<TypeParam> everywhere(count);
            ASSERT_TRUE(comm.allreduce(data, everywhere, op));
            // NOLINTNEXTLINE(performance-unnecessary-copy-initialization): seen by MPI alone
            const auto untouched = data;
            std::vector<TypeParam> recv(comm.rank() == root ? count : 0);
            ASSERT_TRUE(comm.reduce(data, recv, op, root));
            EXPECT_TRUE(same_bits(data, untouched));
            if (comm.rank() == root) {
                EXPECT_TRUE(same_bits(recv, everywhere));
            }
        }
    }
}

TYPED_TEST(Operations, ReduceInAnyOrderEqualsTheReference) {
    Communicator comm = world(ReductionOrder::any);
    for (const ReduceOp op : all_ops) {
        auto data = input_of<TypeParam>(comm.rank(), 1001, op);
        ASSERT_TRUE(comm.reduce(data, data, op, comm.size() - 1));
        for (std::size_t i = 0; i < data.size() && comm.rank() == comm.size() - 1; ++i) {
            this->expect_element(data[i], comm.size(), i, op, true);
        }
    }
}

TYPED_TEST(Operations, ReduceScatterGivesEachRankItsPartOfAllreduce) {
    Communicator comm = world();
    const auto ranks = static_cast<std::size_t>(comm.size());
    for (const ReduceOp op : all_ops) {
        for (const std::size_t count : counts) {
            const auto send = input_of<TypeParam>(comm.rank(), count * ranks, op);
            std::vector<TypeParam> everywhere(send.size());
            std::vector<TypeParam> own(count);
            ASSERT_TRUE(comm.allreduce(send, everywhere, op));
            ASSERT_TRUE(comm.reduce_scatter(send, own, op));
            const auto* want = everywhere.data() + static_cast<std::size_t>(comm.rank()) * count;
            EXPECT_TRUE(same_bits(own, std::span(want, count)));
        }
    }
}

TYPED_TEST(Operations, BroadcastCopiesTheRoot) {
    Communicator comm = world();
    for (int root = 0; root < comm.size(); ++root) {
        for (const std::size_t count : counts) {
            auto data = input_of<TypeParam>(comm.rank(), count, ReduceOp::sum);
            ASSERT_TRUE(comm.broadcast(data, root));
            EXPECT_EQ(data, input_of<TypeParam>(root, count, ReduceOp::sum));
        }
    }
}

TYPED_TEST(Operations, AllgatherAndAllToAllPlaceEveryPart) {
    Communicator comm = world();
    const auto ranks = static_cast<std::size_t>(comm.size());
    for (const std::size_t count : counts) {
        const auto mine = input_of<TypeParam>(comm.rank(), count, ReduceOp::sum);
        std::vector<TypeParam> all(count * ranks);
        ASSERT_TRUE(comm.allgather(mine, all));
        std::vector<TypeParam> parts(count * ranks);  // part r of rank s: that of rank s, at r
        for (std::size_t i = 0; i < parts.size(); ++i) {
            parts[i] = element_of<TypeParam>(comm.rank(), i, ReduceOp::sum);
        }
        std::vector<TypeParam> turned(parts.size());
        ASSERT_TRUE(comm.all_to_all(parts, turned));
        for (std::size_t s = 0; s < ranks; ++s) {
            for (std::size_t i = 0; i < count; ++i) {
                const auto from = static_cast<int>(s);
                ASSERT_EQ(all[s * count + i], element_of<TypeParam>(from, i, ReduceOp::sum));
                const std::size_t sent_from = static_cast<std::size_t>(comm.rank()) * count + i;
                ASSERT_EQ(turned[s * count + i],
                          element_of<TypeParam>(from, sent_from, ReduceOp::sum));
            }
        }
        if (count > 0) {  // in place: the own part is already where it belongs
            std::vector<TypeParam> in_place(count * ranks);
            auto* own = in_place.data() + static_cast<std::size_t>(comm.rank()) * count;
            std::copy(mine.begin(), mine.end(), own);
            ASSERT_TRUE(comm.allgather(ConstBuffer(own, count, data_type_of<TypeParam>), in_place));
            EXPECT_EQ(in_place, all);
        }
    }
}

TYPED_TEST(Operations, MessagesGoAroundTheRing) {
    Communicator comm = world();
    const int next = (comm.rank() + 1) % comm.size();
    const int previous = (comm.rank() + comm.size() - 1) % comm.size();
    for (const std::size_t count : counts) {
        const auto mine = input_of<TypeParam>(comm.rank(), count, ReduceOp::sum);
        std::vector<TypeParam> theirs(count);
        ASSERT_TRUE(comm.send_recv(mine, next, theirs, previous));
        EXPECT_EQ(theirs, input_of<TypeParam>(previous, count, ReduceOp::sum));
    }
}

TEST(Messages, KeepTheirOrder) {
    Communicator comm = world();
    if (comm.size() < 2 || comm.rank() > 1) {
        return;
    }
    for (std::int32_t i = 0; i < 50; ++i) {
        std::vector<std::int32_t> number{i};
        if (comm.rank() == 0) {
            ASSERT_TRUE(comm.send(number, 1));
        } else {
            number[0] = -1;
            ASSERT_TRUE(comm.recv(number, 0));
            EXPECT_EQ(number[0], i);
        }
    }
}

// The tree, written down a second time in the plainest way.
float tree_of(const std::vector<float>& values) {
    std::vector<float> level = values;
    while (level.size() > 1) {
        std::vector<float> above;
        for (std::size_t i = 0; i < level.size(); i += 2) {
            above.push_back(i + 1 < level.size() ? level[i] + level[i + 1] : level[i]);
        }
        level = above;
    }
    return level[0];
}

TEST(RankTree, GivesTheSameBitsWhateverTheTimingSizeOrOperation) {
    Communicator comm = world();
    std::minstd_rand random(static_cast<unsigned>(comm.rank()) + 1);
    std::uniform_real_distribution<float> wide(-1e6F, 1e6F);
    std::vector<float> send(count_many_segments);
    for (auto& value : send) {
        value = wide(random) * wide(random);
    }
    std::vector<float> first(send.size());
    ASSERT_TRUE(comm.allreduce(send, first, ReduceOp::sum));
    for (std::size_t i = 0; i < 20; ++i) {  // one value of all ranks against the plain tree
        const std::size_t index = i * (send.size() - 1) / 19;
        std::vector<float> column(static_cast<std::size_t>(comm.size()));
        ASSERT_TRUE(comm.allgather(ConstBuffer(&send[index], 1, DataType::f32), column));
        EXPECT_EQ(first[index], tree_of(column));
    }
    for (int run = 0; run < 30; ++run) {
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));  // the point of it
        const std::size_t count = run == 0 ? send.size() : std::size_t{1} << (run % 18);
        std::vector<float> again(count);
        ASSERT_TRUE(
            comm.allreduce(ConstBuffer(send.data(), count, DataType::f32), again, ReduceOp::sum));
        ASSERT_EQ(0, std::memcmp(first.data(), again.data(), count * sizeof(float)));
    }
}

TEST(Split, GroupsByColorAndOrdersByKey) {
    Communicator comm = world();
    const auto left_out = comm.rank() == comm.size() - 1 && comm.size() > 2;
    auto part =
        comm.split(left_out ? std::nullopt : std::optional<int>(comm.rank() % 2), -comm.rank());
    ASSERT_TRUE(part);
    ASSERT_EQ(part->has_value(), !left_out);
    if (left_out) {
        return;
    }
    std::vector<std::int32_t> highest{comm.rank()};
    ASSERT_TRUE((*part)->broadcast(highest, 0));
    EXPECT_GE(highest[0], comm.rank());  // rank 0 of the part has the smallest key
    EXPECT_EQ(highest[0] % 2, comm.rank() % 2);
}

TEST(Shrink, GoesOnWithoutTheRanksThatDoNotCall) {
    Communicator patient = world();
    Communicator comm = world();
    if (comm.size() > 2 && comm.rank() != 1) {
        auto rest = comm.shrink(std::array{1});
        ASSERT_TRUE(rest) << rest.error().text();
        EXPECT_EQ(rest->size(), comm.size() - 1);
        EXPECT_EQ(rest->rank(), comm.rank() == 0 ? 0 : comm.rank() - 1);
        std::vector<std::int32_t> sum{comm.rank()};
        ASSERT_TRUE(rest->allreduce(sum, ReduceOp::sum));
        EXPECT_EQ(sum[0], comm.size() * (comm.size() - 1) / 2 - 1);
    }
    EXPECT_TRUE(patient.barrier());
}

TEST(Shrink, RefusesWhatMakesNoSense) {
    Communicator comm = world();
    const auto code = [](const Result<Communicator>& result) {
        return result ? ErrorCode::internal : result.error().code();
    };
    EXPECT_EQ(code(comm.shrink({})), ErrorCode::invalid_argument);
    EXPECT_EQ(code(comm.shrink(std::array{comm.rank()})), ErrorCode::invalid_argument);
    EXPECT_EQ(code(comm.shrink(std::array{comm.size()})), ErrorCode::invalid_argument);
    EXPECT_TRUE(comm.barrier());
}

TEST(ExchangeBytes, KeepsLengthsAndOrder) {
    Communicator comm = world();
    const std::string mine(static_cast<std::size_t>(comm.rank()) * 3,
                           static_cast<char>('a' + comm.rank()));
    const auto all = exchange_bytes(comm, mine);
    ASSERT_TRUE(all);
    for (int r = 0; r < comm.size(); ++r) {
        const auto index = static_cast<std::size_t>(r);
        EXPECT_EQ((*all)[index], std::string(index * 3, static_cast<char>('a' + r)));
    }
}

TEST(BadUse, IsATypedErrorAndLeavesTheCommunicatorUsable) {
    Communicator comm = world();
    std::vector<float> some(8);
    std::vector<float> other(7);
    std::vector<double> doubles(8);
    const auto code = [](const Result<void>& result) {
        return result ? ErrorCode::internal : result.error().code();
    };
    const auto invalid = ErrorCode::invalid_argument;
    EXPECT_EQ(invalid, code(comm.allreduce(Buffer(nullptr, 8, DataType::f32), ReduceOp::sum)));
    EXPECT_EQ(invalid, code(comm.allreduce(some, other, ReduceOp::sum)));
    EXPECT_EQ(invalid, code(comm.allreduce(some, doubles, ReduceOp::sum)));
    EXPECT_EQ(invalid, code(comm.broadcast(some, comm.size())));
    EXPECT_EQ(invalid, code(comm.broadcast(some, -1)));
    EXPECT_EQ(invalid, code(comm.send(some, comm.size())));
    const ConstBuffer early(some.data(), 6, DataType::f32);
    EXPECT_EQ(invalid,
              code(comm.allreduce(early, Buffer(&some[1], 6, DataType::f32), ReduceOp::sum)));
    const auto beyond = static_cast<std::size_t>(-1);
    EXPECT_EQ(invalid, code(comm.broadcast(Buffer(some.data(), beyond, DataType::f64), 0)));
    EXPECT_TRUE(comm.barrier());
}

TEST(BadUse, IsATypedErrorOnAllRanksWhereOneMakesAnotherCall) {
    Communicator patient = world();
    if (patient.size() == 1) {
        return;
    }
    for (const std::size_t count : {std::size_t{10}, std::size_t{100'000}}) {
        Communicator comm = world();
        std::vector<float> data(count + (comm.rank() == 1 ? 1 : 0));
        const auto result = comm.allreduce(data, ReduceOp::sum);
        ASSERT_FALSE(result);
        // The first to notice gives up, which is what the others may see.
        const ErrorCode code = result.error().code();
        EXPECT_TRUE(code == ErrorCode::invalid_argument || code == ErrorCode::unavailable);
        Communicator other = world();
        const auto mixed =
            other.rank() == 0 ? other.barrier() : other.allreduce(data, ReduceOp::sum);
        EXPECT_FALSE(mixed);
        EXPECT_TRUE(patient.barrier());
    }
}

TEST(OpenNccl, IsATypedErrorOnEveryRankWhereItCannotBe) {
    Communicator comm = world();
    const auto device =
        open_nccl(comm, {.common = {}, .library = "libno-such-nccl.so.2", .device = {}});
    ASSERT_FALSE(device);
    const ErrorCode code = device.error().code();
    EXPECT_TRUE(code == ErrorCode::unsupported || code == ErrorCode::unavailable);
    EXPECT_FALSE(device.error().mend().empty());
    EXPECT_TRUE(comm.barrier());
}

TEST(Deadline, EndsAWaitForARankThatDoesNotCome) {
    Communicator patient = world();
    for (const bool shared_memory : {true, false}) {
        auto opened = communicator_from_mpi(
            MPI_COMM_WORLD,
            {.deadline = std::chrono::milliseconds(50), .shared_memory = shared_memory});
        ASSERT_TRUE(opened);
        Communicator comm = *std::move(opened);
        if (comm.size() > 1 && comm.rank() > 0) {
            std::vector<float> data(100000);
            const auto result = comm.allreduce(data, ReduceOp::sum);
            ASSERT_FALSE(result);
            // The first whose time is up gives up, and tells the others of its node.
            const ErrorCode code = result.error().code();
            EXPECT_TRUE(code == ErrorCode::deadline_exceeded || code == ErrorCode::unavailable);
            EXPECT_EQ(comm.barrier().error(), result.error());  // the dead stay dead
        }
        EXPECT_TRUE(patient.barrier());  // rank 0 is here all the while
    }
}

TEST(Abort, EndsTheCallsOfTheSameNodeAtOnce) {
    Communicator patient = world();
    Communicator comm = world(ReductionOrder::rank_tree, std::chrono::seconds(20));
    const auto begin = std::chrono::steady_clock::now();
    if (comm.rank() == 0) {
        comm.abort();
        EXPECT_EQ(comm.barrier().error().code(), ErrorCode::cancelled);
    } else {
        const auto result = comm.barrier();
        ASSERT_FALSE(result);
        EXPECT_EQ(result.error().code(), ErrorCode::unavailable);
        EXPECT_NE(result.error().what().find("rank 0"), std::string::npos) << result.error().text();
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
    EXPECT_TRUE(patient.barrier());
}

}  // namespace
}  // namespace mpitrain::collectives
