#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "mpitrain/checkpoint/catalog.hpp"
#include "world.hpp"

// Saves behind the training: what they cost it, what they tell it, and a disk that is stuck.
namespace mpitrain::checkpoint {
namespace {

using test::State;
using test::World;

constexpr std::chrono::seconds patience(20);

// A disk whose writes wait while it is stuck.
class Stuck {
  public:
    void set(bool stuck) {
        const std::lock_guard lock(mutex_);
        stuck_ = stuck;
        changed_.notify_all();
    }
    void pass() {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, patience, [&] { return !stuck_; });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool stuck_ = false;
};

class StuckFile final : public File {
  public:
    StuckFile(std::unique_ptr<File> file, Stuck& stuck) : file_(std::move(file)), stuck_(stuck) {}
    Result<void> write(std::uint64_t offset, std::span<const std::byte> bytes) override {
        stuck_.pass();
        return file_->write(offset, bytes);
    }
    Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> bytes) override {
        return file_->read(offset, bytes);
    }
    Result<void> allocate(std::uint64_t length) override { return file_->allocate(length); }
    Result<void> truncate(std::uint64_t length) override { return file_->truncate(length); }
    Result<void> sync() override { return file_->sync(); }
    Result<std::uint64_t> size_bytes() override { return file_->size_bytes(); }
    [[nodiscard]] bool is_direct() const override { return file_->is_direct(); }

  private:
    std::unique_ptr<File> file_;
    Stuck& stuck_;
};

class StuckFiles final : public FileSystem {
  public:
    StuckFiles(std::unique_ptr<FileSystem> files, Stuck& stuck)
        : files_(std::move(files)), stuck_(stuck) {}
    Result<std::unique_ptr<File>> open(const std::string& path, OpenOptions options) override {
        MPITRAIN_TRY(auto file, files_->open(path, options));
        return std::make_unique<StuckFile>(std::move(file), stuck_);
    }
    Result<void> make_directory(const std::string& path) override {
        stuck_.pass();
        return files_->make_directory(path);
    }
    Result<void> rename(const std::string& from, const std::string& to) override {
        return files_->rename(from, to);
    }
    Result<void> remove_file(const std::string& path) override { return files_->remove_file(path); }
    Result<void> remove_directory(const std::string& path) override {
        return files_->remove_directory(path);
    }
    Result<std::vector<DirectoryEntry>> list(const std::string& path) override {
        return files_->list(path);
    }
    Result<FileStatus> status(const std::string& path) override { return files_->status(path); }
    Result<void> sync_directory(const std::string& path) override {
        return files_->sync_directory(path);
    }
    Result<std::unique_ptr<FileLock>> lock(const std::string& path,
                                           std::chrono::milliseconds deadline) override {
        return files_->lock(path, deadline);
    }

  private:
    std::unique_ptr<FileSystem> files_;
    Stuck& stuck_;
};

class Background : public testing::Test {
  protected:
    void SetUp() override { test::make_run_directory(*disk); }

    std::unique_ptr<fake::Disk> disk = fake::make_disk();
};

TEST_F(Background, KeepsTheStateOfTheMomentItBegan) {
    World world(*disk, 3);
    const auto outcome = world.save_behind(7);  // changes its state right after
    ASSERT_TRUE(outcome.all_ok()) << outcome.text();
    for (const auto& rank : outcome.ranks) {
        EXPECT_EQ(rank->step, 7U);
        EXPECT_EQ(rank->path, "/run/step-7");
        EXPECT_GT(rank->size_bytes, 0U);
    }
    EXPECT_EQ(world.load(), "7");
    const auto verified = verify_commit(*disk->mount(), "/run/step-7", {});
    ASSERT_TRUE(verified);
    EXPECT_TRUE(verified->bad.empty());
}

TEST_F(Background, AgreesWithSavesThatWait) {
    World world(*disk, 2);
    ASSERT_TRUE(world.save_behind(1).all_ok());
    ASSERT_TRUE(world.save(2).all_ok());
    ASSERT_TRUE(world.save_behind(3).all_ok());
    EXPECT_EQ(world.load(), "3");
    const auto again = world.save_behind(3);
    for (const auto& rank : again.ranks) {
        EXPECT_EQ(rank.error().code(), ErrorCode::already_exists) << again.text();
    }
}

TEST_F(Background, TellsAFailureOnEveryRankAndGoesOn) {
    World world(*disk, 2);
    ASSERT_TRUE(world.save_behind(1).all_ok());
    // Past the lease and the directories, where shards are written.
    disk->plan(fake::FaultPlan{.at_call = disk->calls() + 12, .errno_value = ENOSPC});
    const auto failed = world.save_behind(2);
    disk->plan({});
    for (const auto& rank : failed.ranks) {
        ASSERT_FALSE(rank);
        EXPECT_EQ(rank.error().code(), ErrorCode::resource_exhausted) << failed.text();
    }
    EXPECT_EQ(world.load(), "1");
    EXPECT_TRUE(world.save_behind(3).all_ok());
    EXPECT_EQ(world.load(), "3");
}

TEST_F(Background, AStuckDiskStopsNothingButTheNextSave) {
    World world(*disk, 1);
    Stuck stuck;
    StuckFiles files(disk->mount(), stuck);
    Surroundings around = world.surroundings(0);
    const auto saver = make_saver({files,
                                   around.container,
                                   around.peers,
                                   around.staging,
                                   around.now,
                                   around.fresh_token,
                                   around.self,
                                   around.is_dead},
                                  World::default_options());
    State state(0, 1);
    state.fill(1);
    stuck.set(true);
    const auto first = saver->start(World::input_of(1, state));
    ASSERT_TRUE(first) << first.error().text();
    EXPECT_TRUE(*first);
    for (int step = 0; step < 100; ++step) {
        EXPECT_FALSE(saver->poll());
    }
    const auto second = saver->start(World::input_of(2, state));
    ASSERT_TRUE(second) << second.error().text();
    EXPECT_FALSE(*second);  // skipped, and said so
    EXPECT_EQ(saver->settle(std::chrono::milliseconds(10)).error().code(),
              ErrorCode::deadline_exceeded);
    stuck.set(false);
    ASSERT_TRUE(saver->settle(patience));
    const auto outcome = saver->poll();
    ASSERT_TRUE(outcome);
    ASSERT_TRUE(*outcome) << outcome->error().text();
    EXPECT_EQ((*outcome)->step, 1U);
    EXPECT_FALSE(saver->poll());
    EXPECT_EQ(world.load(), "1");
    EXPECT_TRUE(*saver->start(World::input_of(3, state)));
    ASSERT_TRUE(saver->settle(patience));
    EXPECT_EQ((*saver->poll())->step, 3U);
}

TEST_F(Background, ASaveThatCannotEndInTimeIsNotBegun) {
    World world(*disk, 1);
    Saver& saver = world.saver(0);
    State state(0, 1);
    state.fill(1);
    EXPECT_FALSE(saver.estimate(state.contribution()));
    ASSERT_TRUE(saver.save(World::input_of(1, state)));
    const auto estimate = saver.estimate(state.contribution());
    ASSERT_TRUE(estimate);
    SaveInput late = World::input_of(2, state);
    late.time_left = std::chrono::milliseconds(0);
    const std::uint64_t calls = disk->calls();
    const auto refused = saver.save(late);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), ErrorCode::deadline_exceeded);
    EXPECT_EQ(disk->calls(), calls);  // at once
    EXPECT_EQ(world.load(), "1");
    late.time_left = *estimate * 1000 + std::chrono::seconds(10);
    EXPECT_TRUE(saver.save(late));
}

TEST_F(Background, KeepsToItsPaceUntilSomeoneWaits) {
    StoreOptions options = World::default_options();
    options.background_bytes_per_second = 1;
    World world(*disk, 1, options);
    // At one byte a second it would take a day.
    const auto outcome = world.save_behind(1);
    EXPECT_TRUE(outcome.all_ok()) << outcome.text();
}

}  // namespace
}  // namespace mpitrain::checkpoint
