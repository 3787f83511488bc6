#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "world.hpp"

// Tensors in a device's memory: here, memory whose bytes mean something else to the host, and whose
// copies happen when they are waited for and not before.
namespace mpitrain::checkpoint {
namespace {

using test::State;
using test::World;

constexpr std::byte disguise{0x5a};

class FakeDevice final : public DeviceMemory {
  public:
    Result<void> await_training() override {
        ++awaited;
        return {};
    }
    Result<void> to_host(std::span<std::byte> to, const std::byte* from) override {
        copies_.push_back({to.data(), from, to.size()});
        return {};
    }
    Result<void> from_host(std::byte* to, std::span<const std::byte> from) override {
        copies_.push_back({to, from.data(), from.size()});
        return {};
    }
    Result<void> finish() override {
        for (const Copy& copy : std::exchange(copies_, {})) {
            std::transform(copy.from, copy.from + copy.bytes, copy.to, [](std::byte byte) {
                return byte ^ disguise;
            });
        }
        return broken ? Result<void>(Error(ErrorCode::unavailable, "the GPU has fallen off"))
                      : Result<void>();
    }
    Result<void> pin(std::span<std::byte>) override {
        ++pinned;
        return {};
    }
    void unpin(std::span<std::byte>) override { --pinned; }

    bool broken = false;
    int awaited = 0;
    int pinned = 0;

  private:
    struct Copy {
        std::byte* to;
        const std::byte* from;
        std::size_t bytes;
    };
    std::vector<Copy> copies_;
};

class OnDevice : public testing::TestWithParam<Layout> {
  protected:
    void SetUp() override {
        test::make_run_directory(*disk);
        options.layout = GetParam();
        options.device = &device;
    }
    // "w" and "count" are on the device, "bias" is not.
    static constexpr std::array<std::uint8_t, 3> where = {1, 0, 1};
    static void change_sides(State& state) {
        const auto change = [](void* memory, std::size_t bytes) {
            auto* at = static_cast<std::byte*>(memory);
            std::transform(at, at + bytes, at, [](std::byte byte) { return byte ^ disguise; });
        };
        change(state.w.data(), state.w.size() * sizeof(float));
        change(&state.count, sizeof state.count);
    }
    static SaveInput input_of(std::uint64_t step, State& state) {
        SaveInput input = World::input_of(step, state);
        input.on_device.assign(where.begin(), where.end());
        return input;
    }

    std::unique_ptr<fake::Disk> disk = fake::make_disk();
    FakeDevice device;
    StoreOptions options = World::default_options();
};

TEST_P(OnDevice, IsSavedAsIfItWereOnTheHost) {
    {
        World world(*disk, 1, options);
        State state(0, 1);
        state.fill(1);
        change_sides(state);
        const auto saved = world.saver(0).save(input_of(1, state));
        ASSERT_TRUE(saved) << saved.error().text();
        EXPECT_EQ(device.awaited, 1);
        EXPECT_EQ(world.load(), "1");  // onto the host
        state.fill(2);
        change_sides(state);
        ASSERT_TRUE(world.saver(0).start(input_of(2, state)));
        EXPECT_EQ(device.pinned, 1);
        state.fill(99);
        ASSERT_TRUE(world.saver(0).settle(options.deadline));
        const auto outcome = world.saver(0).poll();
        ASSERT_TRUE(outcome && *outcome) << (*outcome).error().text();
        EXPECT_EQ(world.load(), "2");
    }
    EXPECT_EQ(device.pinned, 0);
}

TEST_P(OnDevice, IsLoadedFromWhatTheHostSaved) {
    World world(*disk, 2, options);
    ASSERT_TRUE(world.save(3).all_ok());
    State back(0, 1);
    World one(*disk, 1, options);
    Surroundings around = one.surroundings(0);
    const auto loaded = load_newest(
        around,
        options,
        back.contribution().tensors,
        {.memory = State::pointers<std::byte>(back), .on_device = where, .device = &device});
    ASSERT_TRUE(loaded && *loaded) << loaded.error().text();
    change_sides(back);
    back.random = (*loaded)->blobs.front();
    State wanted(0, 1);
    wanted.fill(3);
    EXPECT_EQ(back, wanted);
}

TEST_P(OnDevice, AnErrorOfTheDeviceFailsTheSaveAndNoMore) {
    World world(*disk, 1, options);
    State state(0, 1);
    state.fill(1);
    change_sides(state);
    ASSERT_TRUE(world.saver(0).save(input_of(1, state)));
    device.broken = true;
    const auto waiting = world.saver(0).save(input_of(2, state));
    ASSERT_FALSE(waiting);
    EXPECT_EQ(waiting.error().code(), ErrorCode::unavailable);
    ASSERT_TRUE(world.saver(0).start(input_of(3, state)));
    ASSERT_TRUE(world.saver(0).settle(options.deadline));
    const auto behind = world.saver(0).poll();
    ASSERT_TRUE(behind);
    EXPECT_FALSE(*behind);
    device.broken = false;
    EXPECT_EQ(world.load(), "1");
    ASSERT_TRUE(world.saver(0).save(input_of(4, state)));
}

INSTANTIATE_TEST_SUITE_P(Layouts, OnDevice, testing::Values(Layout::per_rank, Layout::single));

}  // namespace
}  // namespace mpitrain::checkpoint
