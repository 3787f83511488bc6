#include "mpitrain/local/programs.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace mpitrain::local {
namespace {

class Programs : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "programs-XXXXXX";
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        spec.workdir = pattern;
        std::ofstream(pattern + "/plain") << "text";
        std::ofstream(pattern + "/runs") << "#!/bin/sh\n";
        ASSERT_EQ(chmod((pattern + "/runs").c_str(), 0755), 0);
    }
    void TearDown() override { std::filesystem::remove_all(spec.workdir); }

    Result<void> check(const std::string& program,
                       const EnvironmentMap& environment = {{"PATH", "/usr/bin:/bin"}}) {
        spec.groups = {
            CommandGroup{.name = "default", .ranks = 1, .command = {program}, .env = {}}};
        return check_programs(spec, environment);
    }
    JobSpec spec;
    std::string unset;
};

TEST_F(Programs, AreFoundFromTheWorkingDirectoryAndAlongPath) {
    EXPECT_TRUE(check("./runs"));
    EXPECT_TRUE(check("sh"));
    EXPECT_TRUE(check("runs", {{"PATH", spec.workdir}}));
}

TEST_F(Programs, MissingAndNotExecutableAreToldApart) {
    EXPECT_EQ(check("./absent").error().code(), ErrorCode::not_found);
    EXPECT_EQ(check("./plain").error().code(), ErrorCode::permission_denied);
    EXPECT_EQ(check(spec.workdir).error().code(), ErrorCode::not_found)
        << "a directory is no program";
    EXPECT_EQ(check("plain", {{"PATH", spec.workdir}}).error().code(),
              ErrorCode::permission_denied);
}

TEST_F(Programs, AreSoughtFromTheCurrentDirectoryWhereNoOtherIsSet) {
    const std::filesystem::path before = std::filesystem::current_path();
    std::filesystem::current_path(spec.workdir);
    std::swap(spec.workdir, unset);
    const bool found = check("./runs").has_value();
    std::swap(spec.workdir, unset);
    std::filesystem::current_path(before);
    EXPECT_TRUE(found);
}

TEST_F(Programs, AMissingWorkingDirectoryIsNoMissingProgram) {
    const std::string there = spec.workdir;
    spec.workdir = there + "/absent";
    EXPECT_EQ(check("sh").error().code(), ErrorCode::invalid_argument);
    spec.workdir = there;
}

TEST_F(Programs, AForgottenDotSlashIsPointedOut) {
    EXPECT_NE(check("runs").error().mend().find("./runs"), std::string::npos);
}

}  // namespace
}  // namespace mpitrain::local
