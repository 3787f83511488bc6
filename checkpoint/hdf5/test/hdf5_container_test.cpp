#include "mpitrain/checkpoint/hdf5_container.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <thread>

#include "hdf5_call.hpp"

// What the container lays out is read back by the library itself, from real files.
namespace mpitrain::checkpoint {
namespace {

namespace fs = std::filesystem;
using hdf5::Handle;

class Hdf5ContainerTest : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "mpitrain-hdf5-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        root = pattern;
        H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    }
    void TearDown() override {
        fs::current_path("/");
        fs::remove_all(root);
    }

    // A shard with one dataset of these values, at `path`.
    void write_shard(const fs::path& path, std::vector<float> values) {
        const DatasetPlan plan{"/0/w", DType::float32, {values.size() / 4, 4}};
        const auto image = container->shard(std::span(&plan, 1), 16384);
        ASSERT_TRUE(image) << image.error().text();
        std::ofstream file(path, std::ios::binary);
        for (const Extent& extent : image->metadata) {
            put(file, extent.offset, std::as_bytes(std::span(extent.bytes)));
        }
        put(file, image->dataset_offsets[0], std::as_bytes(std::span(values)));
        file.close();
        fs::resize_file(path, image->size_bytes);
    }
    void write_view(const fs::path& path, const std::vector<std::string>& shards) {
        ViewTensor tensor{"group/w", DType::float32, {4 * shards.size(), 4}, {}};
        for (std::size_t i = 0; i < shards.size(); ++i) {
            tensor.sources.push_back({shards[i], "/0/w", {4, 4}, 0, 16, {{4 * i, 0}, {4, 4}}});
        }
        const auto bytes = container->view(std::span(&tensor, 1), {{"loss", 0.5}});
        ASSERT_TRUE(bytes) << bytes.error().text();
        std::ofstream file(path, std::ios::binary);
        put(file, 0, *bytes);
    }
    static void put(std::ofstream& file, std::uint64_t at, std::span<const std::byte> bytes) {
        file.seekp(static_cast<std::streamoff>(at));
        file.write(reinterpret_cast<const char*>(bytes.data()),
                   static_cast<std::streamsize>(bytes.size()));
    }
    static std::vector<float> read(const fs::path& path, const char* name, std::size_t count) {
        std::vector<float> values(count, -1);
        const Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), &H5Fclose);
        const Handle dataset(H5Dopen2(file.get(), name, H5P_DEFAULT), &H5Dclose);
        EXPECT_GE(
            H5Dread(dataset.get(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()),
            0);
        return values;
    }
    static std::vector<float> counted(float first) {
        std::vector<float> values(16);
        std::iota(values.begin(), values.end(), first);
        return values;
    }

    fs::path root;
    std::unique_ptr<Container> container = make_hdf5_container();
};

TEST_F(Hdf5ContainerTest, AShardIsPlainHdf5) {
    write_shard(root / "s.h5", counted(1));
    EXPECT_EQ(read(root / "s.h5", "/0/w", 16), counted(1));
}

TEST_F(Hdf5ContainerTest, EqualPlansGiveEqualImages) {
    std::vector<DatasetPlan> plans;
    for (int i = 0; i < 500; ++i) {
        plans.push_back({"/0/layer" + std::to_string(i), DType::bfloat16, {300, 200}});
    }
    plans.push_back({"/pool/bool", DType::boolean, {7}});
    const auto one = container->shard(plans, 16384);
    // HDF5 keeps times in whole seconds: nothing may depend on them.
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));
    const auto two = container->shard(plans, 16384);
    ASSERT_TRUE(one && two);
    EXPECT_EQ(one->dataset_offsets, two->dataset_offsets);
    EXPECT_EQ(one->size_bytes, two->size_bytes);
    ASSERT_EQ(one->metadata.size(), two->metadata.size());
    for (std::size_t i = 0; i < one->metadata.size(); ++i) {
        EXPECT_EQ(one->metadata[i].bytes, two->metadata[i].bytes);
    }
    EXPECT_EQ(one->table_offset % 4096, 0U);
    EXPECT_GE(one->table_bytes / 4, (one->size_bytes + 16383) / 16384);
    for (std::size_t i = 0; i + 1 < plans.size(); ++i) {
        EXPECT_EQ(one->dataset_offsets[i] % 4096, 0U);
    }
}

TEST_F(Hdf5ContainerTest, TheViewShowsWholeTensorsFromAnyDirectory) {
    write_shard(root / "a.h5", counted(0));
    write_shard(root / "b.h5", counted(16));
    write_view(root / "v.h5", {"a.h5", "b.h5"});
    std::vector<float> whole(32);
    std::iota(whole.begin(), whole.end(), 0.0F);
    fs::current_path("/");
    EXPECT_EQ(read(root / "v.h5", "/group/w", 32), whole);
    fs::create_directory(root / "moved");
    for (const char* name : {"a.h5", "b.h5", "v.h5"}) {
        fs::rename(root / name, root / "moved" / name);
    }
    EXPECT_EQ(read(root / "moved" / "v.h5", "/group/w", 32), whole);
}

TEST_F(Hdf5ContainerTest, AMissingShardReadsAsNan) {
    write_shard(root / "a.h5", counted(0));
    write_view(root / "v.h5", {"a.h5", "gone.h5"});
    const auto values = read(root / "v.h5", "/group/w", 32);
    EXPECT_EQ(values[15], 15.0F);
    for (std::size_t i = 16; i < 32; ++i) {
        EXPECT_TRUE(std::isnan(values[i]));
    }
}

TEST_F(Hdf5ContainerTest, SmallFloatsAreReadAsTheNumbersTheyAre) {
    const struct {
        DType dtype;
        std::vector<unsigned char> bytes;  // 1.5, -2 and infinity
    } cases[] = {{DType::bfloat16, {0xc0, 0x3f, 0x00, 0xc0, 0x80, 0x7f}},
                 {DType::float16, {0x00, 0x3e, 0x00, 0xc0, 0x00, 0x7c}},
                 {DType::float8_e5m2, {0x3e, 0xc0, 0x7c}}};
    for (const auto& one : cases) {
        const DatasetPlan plan{"/x", one.dtype, {3}};
        const auto image = container->shard(std::span(&plan, 1), 16384);
        ASSERT_TRUE(image) << image.error().text();
        const fs::path path = root / std::string(to_string(one.dtype));
        std::ofstream file(path, std::ios::binary);
        for (const Extent& extent : image->metadata) {
            put(file, extent.offset, extent.bytes);
        }
        put(file, image->dataset_offsets[0], std::as_bytes(std::span(one.bytes)));
        file.close();
        fs::resize_file(path, image->size_bytes);
        EXPECT_EQ(read(path, "/x", 3), (std::vector<float>{1.5F, -2.0F, INFINITY}));
    }
}

TEST_F(Hdf5ContainerTest, AFileOfAllRanksShowsWholeTensors) {
    const std::vector<DatasetPlan> plans = {{"/layer/a", DType::float32, {4, 4096}},
                                            {"/_mpt/block/0/layer/b", DType::float32, {16}},
                                            {"/_mpt/block/1/layer/b", DType::float32, {16}}};
    const ViewTensor b{"layer/b",
                       DType::float32,
                       {2, 16},
                       {{".", "/_mpt/block/0/layer/b", {16}, 0, 16, {{0, 0}, {1, 16}}},
                        {".", "/_mpt/block/1/layer/b", {16}, 0, 16, {{1, 0}, {1, 16}}}}};
    std::vector<DatasetPlan> padded = plans;
    padded[1].shape = padded[2].shape = {4096};  // as a rank's part of a pool
    const auto plain = container->shared_file(padded, 16384, {}, {});
    const auto shown = container->shared_file(
        padded, 16384, std::span(&b, 1), {{"loss", 0.5}, {"note", std::string(3000, 'x')}});
    ASSERT_TRUE(plain && shown) << shown.error().text();
    EXPECT_EQ(plain->dataset_offsets, shown->dataset_offsets);
    EXPECT_EQ(plain->table_offset, shown->table_offset);
    for (const std::uint64_t offset : shown->dataset_offsets) {
        EXPECT_EQ(offset % 16384, 0U);
    }
    std::ofstream file(root / "all.h5", std::ios::binary);
    for (const Extent& extent : shown->metadata) {
        put(file, extent.offset, std::as_bytes(std::span(extent.bytes)));
    }
    for (std::size_t i = 0; i < 3; ++i) {
        const auto values = counted(static_cast<float>(100 * i));
        put(file, shown->dataset_offsets[i], std::as_bytes(std::span(values)));
    }
    file.close();
    fs::resize_file(root / "all.h5", shown->size_bytes);
    fs::create_directory(root / "elsewhere");
    fs::rename(root / "all.h5", root / "elsewhere/renamed.h5");
    const auto a = read(root / "elsewhere/renamed.h5", "/layer/a", std::size_t{4} * 4096);
    EXPECT_TRUE(std::equal(a.begin(), a.begin() + 16, counted(0).begin()));
    auto wanted = counted(100);
    const auto more = counted(200);
    wanted.insert(wanted.end(), more.begin(), more.end());
    EXPECT_EQ(read(root / "elsewhere/renamed.h5", "/layer/b", 32), wanted);
}

}  // namespace
}  // namespace mpitrain::checkpoint
