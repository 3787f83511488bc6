#include "mpitrain/topology/render.hpp"

#include <gtest/gtest.h>

#include "machines.hpp"
#include "xml.hpp"

namespace mpitrain::topology {
namespace {

NodeTopology load(const std::string& name) {
    auto node = test::discover_fixture(name);
    EXPECT_TRUE(node) << (node ? "" : node.error().text());
    return node ? *std::move(node) : NodeTopology();
}

NodeTopology synthetic(const std::string& description) {
    DiscoverOptions options;
    options.synthetic = description;
    return discover(options).value();
}

TEST(RenderTable, ShowsSlotsAndLinks) {
    EXPECT_EQ(
        render_table(load("power.xml")),
        "power: 4 GPUs, 8 cores, 2 NUMA nodes, 128 GiB\n"
        "\n"
        "SLOT  GPU         PCI           UUID                                      NUMA  CPUS  "
        "NIC\n"
        "0     Tesla V100  0004:04:00.0  GPU-00000000-1111-2222-3333-444444444444  0     0-1   "
        "-\n"
        "1     Tesla V100  0004:05:00.0  GPU-00000001-1111-2222-3333-444444444444  0     2-3   "
        "-\n"
        "2     Tesla V100  0035:04:00.0  GPU-00000002-1111-2222-3333-444444444444  8     4-5   "
        "-\n"
        "3     Tesla V100  0035:05:00.0  GPU-00000003-1111-2222-3333-444444444444  8     6-7   "
        "-\n"
        "\n"
        "LINK  0       1       2       3\n"
        "0     -       NVL 40  SYS     SYS\n"
        "1     NVL 40  -       SYS     SYS\n"
        "2     SYS     SYS     -       NVL 40\n"
        "3     SYS     SYS     NVL 40  -\n");
}

TEST(RenderTable, FoldsCpuSlotsByNumaNode) {
    EXPECT_EQ(render_table(synthetic("package:2 [numa(memory=1073741824)] core:3 pu:2")),
              "synthetic: 6 cores (12 threads), 2 NUMA nodes, 2.0 GiB\n"
              "\n"
              "SLOTS  NUMA  CPUS\n"
              "0-2    0     0-5\n"
              "3-5    1     6-11\n");
}

TEST(RenderTable, SaysUnknownInsteadOfGuessing) {
    const std::string text = render_table(load("vm-flat.xml"));
    EXPECT_NE(text.find("0     -  ?\n1     ?  -\n"), std::string::npos) << text;
    EXPECT_NE(render_table(load("noplugins.xml")).find("0000:21:00.0  ?  "), std::string::npos);
}

std::size_t count_of(const std::string& text, const std::string& part) {
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
        ++count;
    }
    return count;
}

TEST(RenderSvg, DrawsEveryNumaNodeCoreGpuAndLink) {
    const std::string svg = render_svg(load("nvswitch.xml"));
    EXPECT_EQ(count_of(svg, ">NUMA node "), 2U);
    EXPECT_EQ(count_of(svg, "width=\"11\" height=\"11\""), 8U) << "cores";
    for (int gpu = 0; gpu < 4; ++gpu) {
        EXPECT_EQ(count_of(svg, ">GPU " + std::to_string(gpu) + "<"), 1U);
        EXPECT_EQ(count_of(svg, ">mlx5_" + std::to_string(gpu + 1) + "<"), 1U);
    }
    EXPECT_EQ(count_of(svg, ">225<"), 12U) << "links, both ways";
    EXPECT_EQ(svg.rfind("</svg>\n"), svg.size() - 7);
}

TEST(RenderSvg, EscapesNames) {
    NodeTopology node = load("power.xml");
    node.slots[0].gpus[0].model = "<b> & \"q\" \x01\xff";
    const std::string svg = render_svg(node);
    EXPECT_NE(svg.find("&lt;b&gt; &amp; &quot;q&quot; ??"), std::string::npos);
}

TEST(RenderSvg, ShowsGpusWhosePlaceIsNotKnown) {
    NodeTopology node = load("power.xml");
    node.slots[2].numa.clear();
    EXPECT_EQ(count_of(render_svg(node), ">Place not known<"), 1U);
}

TEST(RenderSvg, DrawsCpusAlone) {
    const std::string svg = render_svg(synthetic("package:2 [numa] core:3 pu:2"));
    EXPECT_EQ(count_of(svg, "width=\"11\" height=\"11\""), 6U);
    EXPECT_EQ(count_of(svg, ">Links<"), 0U);
}

}  // namespace
}  // namespace mpitrain::topology
