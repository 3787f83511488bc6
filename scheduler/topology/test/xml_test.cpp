#include "xml.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "load_machine.hpp"
#include "machines.hpp"
#include "text_file.hpp"

namespace mpitrain::topology {
namespace {

std::string refusal(const std::string& xml) {
    const auto checked = check_xml(xml);
    return checked ? "accepted" : checked.error().what();
}

std::string text_of(const std::string& name) {
    return read_file(test::fixture(name), xml_size_max).value_or("");
}

TEST(CheckXml, AcceptsEveryFixture) {
    for (const char* name : {"nvswitch.xml", "power.xml", "v1.xml", "mi250x.xml"}) {
        EXPECT_EQ(refusal(text_of(name)), "accepted") << name;
    }
}

TEST(CheckXml, RefusesWhatIsNotATopology) {
    EXPECT_EQ(refusal(""), "this is not hwloc XML");
    EXPECT_EQ(refusal("machine: 1"), "this is not hwloc XML");
    EXPECT_EQ(refusal("<html></html>"), "this is not hwloc XML");
    EXPECT_EQ(refusal("<topology>"), "the file ends inside <topology>");
    EXPECT_EQ(refusal("<topology><object></topology>"), "</topology> closes nothing");
    EXPECT_EQ(refusal("<topology/><topology/>"), "the file has more than one root");
    EXPECT_EQ(refusal("<topology"), "the file ends inside a tag");
    EXPECT_EQ(refusal("<topology><!-- "), "the file ends inside a comment");
    EXPECT_EQ(refusal(std::string("<topology/>\0", 12)), "the file holds zero bytes");
}

TEST(CheckXml, RefusesWhatCostsWithoutBound) {
    EXPECT_EQ(refusal("<!DOCTYPE t [<!ENTITY a \"b\">]><topology/>"), "a tag is broken");
    EXPECT_EQ(refusal("<!DOCTYPE t [ ]><topology/>"), "entities and sections are not read");
    std::string deep = "<topology>";
    for (int level = 0; level < 300; ++level) {
        deep += "<object>";
    }
    EXPECT_EQ(refusal(deep), "the file has too many or too deeply nested elements");
    EXPECT_EQ(refusal("<topology><object type=\"PU\" os_index=\"4000000000\"/></topology>"),
              "the os_index of a PU is beyond 65536");
    EXPECT_EQ(refusal("<topology><object type=\"numa\"/></topology>"), "a numa has no os_index");
    EXPECT_EQ(refusal("<topology><object type=\"PU\"\tos_index=\"1\"/></topology>"),
              "a PU has no os_index");
    EXPECT_EQ(refusal("<topology><object cpuset=\"0xf...f\"/></topology>"), "a cpuset is infinite");
    EXPECT_EQ(refusal("<topology><object nodeset=\"" + std::string(30000, ',') + "\"/></topology>"),
              "a nodeset is too long");
    EXPECT_EQ(refusal("<topology><distances2 nbobjs=\"99999999\"></distances2></topology>"),
              "a distance matrix is too large");
}

TEST(CheckXml, NamesTheFormatThatIsTooNew) {
    const auto checked = check_xml("<topology version=\"3.0\"/>");
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code(), ErrorCode::unsupported);
    EXPECT_EQ(checked.error().text(),
              "hwloc XML of version '3.0' cannot be read (export it with hwloc 2, or with lstopo "
              "--export-xml-flags v2)");
}

TEST(LoadXml, RefusesAMachineWithoutProcessors) {
    const auto machine = load_xml_machine("<topology version=\"2.0\"></topology>");
    ASSERT_FALSE(machine);
    EXPECT_EQ(machine.error().code(), ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace mpitrain::topology
