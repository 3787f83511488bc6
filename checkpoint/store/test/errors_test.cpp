#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ostream>

#include "mpitrain/checkpoint/catalog.hpp"
#include "mpitrain/checkpoint/crc32c.hpp"
#include "world.hpp"

// What may go wrong around a checkpoint without a crash: one error that says what, where and, if
// there is one, the mend; the training goes on, and no commit is lost.
namespace mpitrain::checkpoint {
namespace {

using test::State;
using test::World;

class Errors : public testing::Test {
  protected:
    void SetUp() override { test::make_run_directory(*disk); }
    // What load_newest() says to a program that wants `wanted`.
    Result<std::optional<Loaded>> load(const std::vector<TensorSpec>& wanted,
                                       StoreOptions options = World::default_options()) {
        World world(*disk, 1, options);
        Surroundings around = world.surroundings(0);
        std::vector<std::vector<std::byte>> memory;
        std::vector<std::byte*> targets;
        for (const TensorSpec& spec : wanted) {
            memory.emplace_back(
                static_cast<std::size_t>(*element_count(spec.shape) * size_bytes(spec.dtype)));
        }
        for (auto& bytes : memory) {
            targets.push_back(bytes.data());
        }
        return load_newest(around, options, wanted, {.memory = targets});
    }
    static void expect_says(const Error& error,
                            ErrorCode code,
                            std::initializer_list<std::string_view> parts) {
        EXPECT_EQ(error.code(), code) << error.text();
        for (const std::string_view part : parts) {
            EXPECT_NE(error.text().find(part), std::string::npos)
                << "no '" << part << "' in: " << error.text();
        }
    }
    std::unique_ptr<fake::Disk> disk = fake::make_disk();
};

struct Refusal {
    const char* name;
    int errno_value;
    ErrorCode code;
};
std::ostream& operator<<(std::ostream& out, const Refusal& one) {
    return out << one.name;
}

class Refused : public testing::TestWithParam<Refusal> {};

// Whichever call of a save the disk refuses, the error names the file and what the system said.
TEST_P(Refused, NamesTheFileAndTheTrainingGoesOn) {
    const Refusal& refusal = GetParam();
    int refused = 0;
    int of_a_shard = 0;
    int renamed = 0;
    for (std::uint64_t call = 1; call < 200; ++call) {
        const auto disk = fake::make_disk();
        test::make_run_directory(*disk);
        World world(*disk, 1);
        ASSERT_TRUE(world.save(1).all_ok());
        disk->plan(fake::FaultPlan{.at_call = disk->calls() + call,
                                   .fault = fake::Fault::fail,
                                   .errno_value = refusal.errno_value});
        const auto outcome = world.save(2);
        disk->plan({});
        if (outcome.all_ok()) {
            continue;  // a call that only tidies up, or beyond the last
        }
        ++refused;
        const Error& error = outcome.ranks[0].error();
        // NOLINTNEXTLINE(concurrency-mt-unsafe): the text is copied at once
        const std::string system = std::strerror(refusal.errno_value);
        EXPECT_EQ(error.code(), refusal.code) << error.text();
        EXPECT_NE(error.text().find("/run"), std::string::npos) << error.text();
        EXPECT_NE(error.text().find(system), std::string::npos) << error.text();
        of_a_shard += error.text().find("shard-0-") != std::string::npos ? 1 : 0;
        // After the rename only the sync of the name is left to be refused: told as an error, for
        // it may not be durable, but there.
        const std::string loaded = world.load();
        EXPECT_TRUE(loaded == "1" || loaded == "2") << loaded;
        renamed += loaded == "2" ? 1 : 0;
        EXPECT_TRUE(world.save(3).all_ok());
        EXPECT_EQ(world.load(), "3");
    }
    EXPECT_GT(refused, 10);
    EXPECT_GT(of_a_shard, 2);
    EXPECT_LE(renamed, 1);
}

INSTANTIATE_TEST_SUITE_P(ByTheDisk,
                         Refused,
                         testing::Values(Refusal{"Full", ENOSPC, ErrorCode::resource_exhausted},
                                         Refusal{"Quota", EDQUOT, ErrorCode::resource_exhausted},
                                         Refusal{"ReadOnly", EROFS, ErrorCode::permission_denied},
                                         Refusal{"Io", EIO, ErrorCode::io},
                                         Refusal{"Stale", ESTALE, ErrorCode::io}),
                         [](const auto& one) { return std::string(one.param.name); });

TEST_F(Errors, AWrongTypeNamesTensorAndFile) {
    ASSERT_TRUE(World(*disk, 1).save(1).all_ok());
    const auto loaded = load({{"layer/bias", DType::float32, {5}, {}}});
    ASSERT_FALSE(loaded);
    expect_says(loaded.error(),
                ErrorCode::invalid_argument,
                {"layer/bias", "float64", "float32", "/run/step-1"});
}

TEST_F(Errors, AWrongShapeNamesTensorAndFile) {
    ASSERT_TRUE(World(*disk, 1).save(1).all_ok());
    const auto loaded = load({{"layer/w", DType::float32, {64, State::rows}, {}}});
    ASSERT_FALSE(loaded);
    expect_says(loaded.error(),
                ErrorCode::invalid_argument,
                {"layer/w", "[301, 64]", "[64, 301]", "/run/step-1"});
}

TEST_F(Errors, AMissingTensorIsNamed) {
    ASSERT_TRUE(World(*disk, 1).save(1).all_ok());
    const auto loaded = load({{"layer/w2", DType::float32, {3}, {}}});
    ASSERT_FALSE(loaded);
    expect_says(loaded.error(), ErrorCode::not_found, {"layer/w2", "/run/step-1"});
}

TEST_F(Errors, AnotherModelIsNamed) {
    StoreOptions options = World::default_options();
    options.model = "gpt-7b";
    ASSERT_TRUE(World(*disk, 1, options).save(1).all_ok());
    options.model = "gpt-13b";
    const auto loaded = load({}, options);
    ASSERT_FALSE(loaded);
    expect_says(loaded.error(), ErrorCode::invalid_argument, {"gpt-7b", "gpt-13b", "/run/step-1"});
}

TEST_F(Errors, ALaterFormatIsNoDamageAndNotPassedOver) {
    StoreOptions options = World::default_options();
    options.keep.last = 0;
    World world(*disk, 1, options);
    ASSERT_TRUE(world.save(1).all_ok());
    ASSERT_TRUE(world.save(2).all_ok());
    const std::string path = "/run/step-2/manifest.json";
    const auto bytes = disk->content(path);
    std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    text.replace(text.find("checkpoint/1"), 12, "checkpoint/9");
    text.resize(text.rfind(",\"crc32c\""));
    const std::uint32_t sum = crc32c(std::as_bytes(std::span(text)));
    std::array<char, 32> seal{};
    std::snprintf(seal.data(), seal.size(), ",\"crc32c\":\"%08x\"}\n", sum);
    text += seal.data();
    const auto changed = std::as_bytes(std::span(text));
    disk->replace(path, {changed.begin(), changed.end()});
    // Falling back would train on from an older step than the one that is there.
    const auto loaded = load({});
    ASSERT_FALSE(loaded);
    expect_says(loaded.error(), ErrorCode::unsupported, {"/run/step-2", "checkpoint/9"});
}

TEST_F(Errors, TwoJobsInOneDirectory) {
    World first(*disk, 1);
    ASSERT_TRUE(first.save(1).all_ok());
    World other(*disk, 1);
    Surroundings around = other.surroundings(0);
    around.self.job = "43";
    around.is_dead = [](const WriterIdentity&) { return false; };
    const auto saver = make_saver(around, World::default_options());
    State state(0, 1);
    state.fill(2);
    const auto refused = saver->save(World::input_of(2, state));
    ASSERT_FALSE(refused);
    expect_says(refused.error(),
                ErrorCode::permission_denied,
                {"/run", "process 1 on node", ".writer.json"});
    EXPECT_TRUE(first.save(2).all_ok());
    EXPECT_EQ(first.load(), "2");
}

}  // namespace
}  // namespace mpitrain::checkpoint
