#include "mpitrain/posix/file_system.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <array>
#include <cstdlib>

namespace mpitrain::posix {
namespace {

class PosixFileSystem : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "mpitrain-posix-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        root = pattern;
    }
    void TearDown() override { EXPECT_TRUE(remove_tree(*files, root)); }
    std::string path(const std::string& name) const { return join_path(root, name); }

    std::unique_ptr<FileSystem> files = make_file_system();
    std::string root;
};

struct alignas(File::direct_alignment) Page {
    std::array<std::byte, File::direct_alignment> bytes{};
};

TEST_F(PosixFileSystem, WritesDirectlyOrFallsBackAndReadsBack) {
    auto file = files->open(path("f"), {.mode = OpenMode::create, .direct = true});
    ASSERT_TRUE(file) << file.error().text();
    Page page;
    page.bytes.fill(std::byte{7});
    ASSERT_TRUE((*file)->allocate(3 * page.bytes.size()));
    ASSERT_TRUE((*file)->write(page.bytes.size(), page.bytes));
    ASSERT_TRUE((*file)->truncate(2 * page.bytes.size() - 100));
    ASSERT_TRUE((*file)->sync());
    Page back;
    const auto got = (*file)->read(page.bytes.size(), back.bytes);
    ASSERT_TRUE(got) << got.error().text();
    EXPECT_EQ(*got, page.bytes.size() - 100);
    EXPECT_EQ(back.bytes[0], std::byte{7});
    EXPECT_EQ((*file)->size_bytes().value(), 2 * page.bytes.size() - 100);
}

TEST_F(PosixFileSystem, ServesUnalignedTransfersOfADirectFile) {
    auto file = files->open(path("f"), {.mode = OpenMode::create, .direct = true});
    ASSERT_TRUE(file);
    ASSERT_TRUE((*file)->write(3, std::as_bytes(std::span("abc", 3))));
    std::array<std::byte, 3> back{};
    EXPECT_EQ((*file)->read(3, back).value(), 3U);
    EXPECT_EQ(back[2], std::byte{'c'});
}

TEST_F(PosixFileSystem, RefusesToCreateTwiceAndToReplaceAFullDirectory) {
    ASSERT_TRUE(write_new_file(*files, path("f"), "x"));
    EXPECT_EQ(write_new_file(*files, path("f"), "y").error().code(), ErrorCode::already_exists);
    ASSERT_TRUE(files->make_directory(path("a")));
    ASSERT_TRUE(files->make_directory(path("b")));
    ASSERT_TRUE(write_new_file(*files, path("b/f"), "x"));
    EXPECT_EQ(files->rename(path("a"), path("b")).error().code(), ErrorCode::already_exists);
    EXPECT_EQ(read_small_file(*files, path("f"), 10).value(), "x");
}

TEST_F(PosixFileSystem, ListsSortedAndTellsKinds) {
    ASSERT_TRUE(write_new_file(*files, path("b"), "12345"));
    ASSERT_TRUE(files->make_directory(path("a")));
    const auto entries = files->list(root);
    ASSERT_TRUE(entries);
    ASSERT_EQ(entries->size(), 2U);
    EXPECT_EQ((*entries)[0].name, "a");
    EXPECT_EQ((*entries)[0].kind, FileKind::directory);
    EXPECT_EQ((*entries)[1].kind, FileKind::file);
    EXPECT_EQ(files->status(path("b")).value().size_bytes, 5U);
    EXPECT_TRUE(files->sync_directory(root));
}

TEST_F(PosixFileSystem, ErrorsNameOperationAndPath) {
    const auto missing = files->open(path("missing"), {});
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code(), ErrorCode::not_found);
    EXPECT_EQ(missing.error().where(), path("missing"));
    EXPECT_NE(missing.error().what().find("open"), std::string::npos);
}

TEST_F(PosixFileSystem, LocksOutASecondHolder) {
    const auto deadline = std::chrono::milliseconds(0);
    {
        const auto held = files->lock(path("lock"), deadline);
        ASSERT_TRUE(held);
        EXPECT_EQ(files->lock(path("lock"), deadline).error().code(), ErrorCode::deadline_exceeded);
    }
    EXPECT_TRUE(files->lock(path("lock"), deadline));
}

}  // namespace
}  // namespace mpitrain::posix
