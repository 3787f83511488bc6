#include <gtest/gtest.h>

#include "mpitrain/checkpoint/catalog.hpp"
#include "mpitrain/checkpoint/names.hpp"
#include "world.hpp"

namespace mpitrain::checkpoint {
namespace {

using test::World;

class Store : public testing::Test {
  protected:
    void SetUp() override { test::make_run_directory(*disk); }
    std::unique_ptr<fake::Disk> disk = fake::make_disk();
};

TEST_F(Store, LoadsOnAnyNumberOfRanks) {
    StoreOptions options = World::default_options();
    options.keep.last = 0;
    std::uint64_t step = 0;
    for (const int saved_by : {1, 2, 3, 4, 5}) {
        ASSERT_TRUE(World(*disk, saved_by, options).save(++step).all_ok());
        for (const int loaded_by : {1, 2, 3, 4, 5, 8}) {
            EXPECT_EQ(World(*disk, loaded_by, options).load(), std::to_string(step))
                << saved_by << " to " << loaded_by;
        }
    }
}

TEST_F(Store, SavesAgainAndAgainWithOnePlan) {
    World world(*disk, 3);
    for (std::uint64_t step = 1; step <= 5; ++step) {
        const auto outcome = world.save(step);
        ASSERT_TRUE(outcome.all_ok()) << outcome.text();
        EXPECT_EQ(world.load(), std::to_string(step));
    }
    EXPECT_EQ(list_commits(*disk->mount(), "/run").value().size(), 1U);
}

TEST_F(Store, EmptyDirectoryLoadsNothing) {
    EXPECT_EQ(World(*disk, 2).load(), "nothing");
}

TEST_F(Store, TheLastGoodIsFoundByLooking) {
    StoreOptions options = World::default_options();
    options.keep.last = 0;
    World world(*disk, 1, options);
    ASSERT_TRUE(world.save(9).all_ok());
    ASSERT_TRUE(world.save(10).all_ok());
    EXPECT_EQ(find_last_good(*disk->mount(), "/run").value()->path, "/run/step-10");
    disk->replace("/run/step-10/manifest.json", {});
    EXPECT_EQ(find_last_good(*disk->mount(), "/run").value()->path, "/run/step-9");
}

// The files that a request of this rank's identity would meet.
class LeaseTest : public Store {
  protected:
    Lease lease(const std::string& token, const std::string& job, std::uint64_t attempt) {
        WriterIdentity self{.job = job,
                            .attempt = attempt,
                            .host_name = "node1",
                            .host = "boot",
                            .process = 7,
                            .process_start = 1};
        return Lease(*files, "/run", self, token, [this](const WriterIdentity&) { return dead; });
    }
    std::unique_ptr<FileSystem> files = disk->mount();
    bool dead = false;
    const std::function<Result<void>()> nothing = [] { return Result<void>(); };
};

TEST_F(LeaseTest, ALivingWriterKeepsAnotherOut) {
    Lease first = lease("a", "", 0);
    Lease second = lease("b", "", 0);
    ASSERT_TRUE(first.acquire());
    const auto refused = second.acquire();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), ErrorCode::permission_denied);
    EXPECT_NE(refused.error().text().find("process 7 on node1"), std::string::npos);
    EXPECT_TRUE(first.guard(nothing));
    ASSERT_TRUE(first.release());
    EXPECT_TRUE(second.acquire());
}

TEST_F(LeaseTest, ADeadWriterIsSucceeded) {
    Lease first = lease("a", "", 0);
    ASSERT_TRUE(first.acquire());
    dead = true;
    EXPECT_TRUE(lease("b", "", 0).acquire());
}

TEST_F(LeaseTest, ALaterAttemptFencesTheEarlierOne) {
    Lease first = lease("a", "42", 1);
    Lease second = lease("b", "42", 2);
    ASSERT_TRUE(first.acquire());
    ASSERT_TRUE(second.acquire());
    EXPECT_EQ(first.guard(nothing).error().code(), ErrorCode::cancelled);
    EXPECT_EQ(first.acquire().error().code(), ErrorCode::cancelled);
    EXPECT_FALSE(first.release());
    EXPECT_TRUE(second.guard(nothing));
    EXPECT_EQ(lease("c", "42", 1).acquire().error().code(), ErrorCode::permission_denied);
    EXPECT_EQ(lease("d", "43", 9).acquire().error().code(), ErrorCode::permission_denied);
}

TEST(WriterIdentityTest, ThisProcessLivesAndAnotherStartOfItIsDead) {
    WriterIdentity self = this_process("j", 3);
    EXPECT_FALSE(is_known_dead(self));
    self.process_start += 1;
    EXPECT_TRUE(is_known_dead(self));
    self.host = "elsewhere";
    EXPECT_FALSE(is_known_dead(self));
}

TEST_F(Store, RanksThatSaveDifferentThingsAreToldApart) {
    const auto container = make_hdf5_container();
    const auto files = disk->mount();
    const auto peer = single_peer();
    World world(*disk, 1);
    Surroundings around = world.surroundings(0);
    const auto saver = make_saver(around, World::default_options());
    const float value = 1;
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    const auto hole = saver->save(
        {1,
         std::make_shared<Contribution>(Contribution{{{"w", DType::float32, {4}, {{0}, {1}}}}, {}}),
         {bytes},
         {},
         {}});
    ASSERT_FALSE(hole);
    EXPECT_EQ(hole.error().text(), "tensor 'w': the blocks hold 1 of 4 elements");
    EXPECT_EQ(list_commits(*files, "/run").value().size(), 0U);
}

}  // namespace
}  // namespace mpitrain::checkpoint
