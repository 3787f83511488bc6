// Every recorded machine of a corpus loads, keeps the invariants of a NodeTopology, and shows what
// is known of it. MPITRAIN_TOPOLOGY_CORPUS names the folder, with hwloc/, hwloc-v1/, hwloc-derived/
// and nvidia-smi/ below it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "mpitrain/scheduler/place_ranks.hpp"
#include "mpitrain/topology/discover.hpp"
#include "mpitrain/topology/render.hpp"

namespace mpitrain {
namespace {

namespace fs = std::filesystem;

struct Known {
    std::size_t gpus;
    std::size_t cores;
};

// GPUs, and cores or, where a machine's description has none, hardware threads.
const std::map<std::string, Known> known_machines = {
    {"xe8640-spr-snc4-4xh100", {4, 112}},
    {"tioga-ex235a-mi250x", {8, 64}},
    {"lassen-power9-4xv100", {4, 40}},
    {"ac922-power9-6xv100.reduced", {6, 8}},
    {"ac922-power9-6xv100.gpunuma.reduced", {6, 8}},
    {"power8-minsky-p100.reduced", {4, 8}},
    {"dgx2h-v100-nvswitch.reduced", {16, 4}},
    {"corona-epyc-4xmi25", {4, 48}},
    {"pascal-broadwell-2xp100", {2, 36}},
    {"intel-snb-2s-2cuda-opencl", {2, 16}},
    {"gh200-quanta-s74g", {0, 72}},
    {"dgx-spark-gb10", {0, 20}},
    {"prrte-test-topo-176c-nogpu", {0, 176}},
    {"prrte-test-topo2-1s-4numa", {1, 24}},
    {"quartz-broadwell-nogpu", {0, 36}},
    {"intel-irregular-3gpu-pci", {2, 16}},
    {"intel-2s-sriov-manyvfs-nogpu", {0, 16}},
    {"fake-hetero-distances", {0, 8}},
    {"sierra-power9-4xv100.v1", {4, 44}},
    {"rzansel-power9-4xv100.v1", {4, 44}},
    {"coral-ea-power8-4xp100.v1", {4, 20}},
    {"corona240-8xmi60-rsmi.v1", {8, 48}},
    {"corona-epyc-4xmi25.v1", {4, 48}},
    {"chimera-mixed-gpu.v1", {2, 32}},
    {"dgx-h100", {8, 112}},
    {"dgx-a100", {8, 128}},
    {"aws-p5.48xlarge-h100", {8, 96}},
    {"gcp-a4-b200", {8, 112}},
    {"perlmutter-a100-4gpu", {4, 64}},
    {"ibm-gx3d-h100-vm-from-nccl", {8, 160}},
    {"mi300x-8gpu-8nic-from-rccl", {8, 112}},
};

class Corpus : public testing::Test {
  protected:
    void SetUp() override {
        const char* folder = std::getenv("MPITRAIN_TOPOLOGY_CORPUS");
        if (folder != nullptr && *folder != '\0') {
            root_ = folder;
            return;
        }
        const char* required = std::getenv("MPITRAIN_REQUIRE_ALL");
        if (required != nullptr && std::string(required) == "1") {
            FAIL() << "MPITRAIN_TOPOLOGY_CORPUS is not set, and MPITRAIN_REQUIRE_ALL=1";
        }
        GTEST_SKIP() << "set MPITRAIN_TOPOLOGY_CORPUS to the folder of recorded machines";
    }

    [[nodiscard]] std::vector<fs::path> files() const {
        std::vector<fs::path> found;
        for (const char* folder : {"hwloc", "hwloc-v1", "hwloc-derived"}) {
            for (const auto& entry : fs::directory_iterator(root_ / folder)) {
                if (entry.path().extension() == ".xml") {
                    found.push_back(entry.path());
                }
            }
        }
        std::sort(found.begin(), found.end());
        return found;
    }

    static NodeTopology load_file(const fs::path& file) {
        topology::DiscoverOptions options;
        options.xml_file = file.string();
        auto node = topology::discover(options);
        EXPECT_TRUE(node) << (node ? "" : node.error().text());
        return node ? *std::move(node) : NodeTopology();
    }

    [[nodiscard]] NodeTopology load(const std::string& name) const {
        for (const fs::path& file : files()) {
            if (file.stem() == name) {
                return load_file(file);
            }
        }
        ADD_FAILURE() << name << " is not in the corpus";
        return {};
    }

    fs::path root_;
};

std::size_t gpu_count(const NodeTopology& node) {
    return static_cast<std::size_t>(
        std::count_if(node.slots.begin(), node.slots.end(), [](const Slot& slot) {
            return slot.kind == SlotKind::gpu;
        }));
}

void expect_invariants(const NodeTopology& node) {
    CpuSet taken;
    for (std::size_t index = 0; index < node.slots.size(); ++index) {
        const Slot& slot = node.slots[index];
        EXPECT_EQ(slot.slot, SlotId(static_cast<int>(index)));
        EXPECT_FALSE(slot.cpus.intersects(taken)) << "slot " << index;
        EXPECT_TRUE(node.allowed.includes(slot.cpus));
        taken |= slot.cpus;
        if (index > 0 && slot.kind == SlotKind::gpu) {
            EXPECT_LE(node.slots[index - 1].gpus.at(0).pci, slot.gpus.at(0).pci);
        }
    }
    const auto& classes = node.links.link_class;
    for (std::size_t a = 0; a < classes.size(); ++a) {
        EXPECT_FALSE(classes[a][a]);
        for (std::size_t b = 0; b < classes.size(); ++b) {
            EXPECT_EQ(classes[a][b], classes[b][a]);
        }
    }
    const auto capacity = scheduler::rank_capacity(node, {}, {});
    ASSERT_TRUE(capacity);
    const auto placed = scheduler::place_ranks(node, {.ranks = capacity->total}, {});
    ASSERT_TRUE(placed) << placed.error().text();
    EXPECT_EQ(placed->size(), node.slots.size());
    EXPECT_EQ(topology_from_json(to_json(node)).value(), node);
    EXPECT_FALSE(topology::render_table(node).empty());
    EXPECT_FALSE(topology::render_svg(node).empty());
}

TEST_F(Corpus, EveryMachineLoadsWithItsGpusAndCores) {
    std::size_t seen = 0;
    for (const fs::path& file : files()) {
        SCOPED_TRACE(file.string());
        const NodeTopology node = load_file(file);
        expect_invariants(node);
        const auto known = known_machines.find(file.stem().string());
        if (known != known_machines.end()) {
            EXPECT_EQ(gpu_count(node), known->second.gpus);
            EXPECT_EQ(node.cores.size(), known->second.cores);
            ++seen;
        }
    }
    EXPECT_EQ(seen, known_machines.size());
}

std::vector<int> numa_of(const NodeTopology& node) {
    std::vector<int> result;
    for (const Slot& slot : node.slots) {
        result.push_back(slot.numa.empty() ? -1 : slot.numa.front());
    }
    return result;
}

std::vector<std::string> nics_of(const NodeTopology& node) {
    std::vector<std::string> result;
    for (const Slot& slot : node.slots) {
        std::string names;
        for (const std::string& nic : slot.nics) {
            names += (names.empty() ? "" : "+") + nic;
        }
        result.push_back(names);
    }
    return result;
}

using Names = std::vector<std::string>;
using Numbers = std::vector<int>;

TEST_F(Corpus, DgxH100UsesItsComputeNicsAndNotStorage) {
    const NodeTopology node = load("dgx-h100");
    EXPECT_EQ(
        nics_of(node),
        (Names{"mlx5_0", "mlx5_3", "mlx5_4", "mlx5_5", "mlx5_6", "mlx5_9", "mlx5_10", "mlx5_11"}));
    EXPECT_EQ(node.links.bandwidth_mb_s[0][7], 450000);
    EXPECT_EQ(node.slots[7].cpus.to_string(), "98-111,210-223");
}

TEST_F(Corpus, DgxA100HasItsNumaNodesInItsOwnOrder) {
    const NodeTopology node = load("dgx-a100");
    EXPECT_EQ(numa_of(node), (Numbers{3, 3, 1, 1, 7, 7, 5, 5}));
    EXPECT_EQ(
        nics_of(node),
        (Names{"mlx5_0", "mlx5_1", "mlx5_2", "mlx5_3", "mlx5_6", "mlx5_7", "mlx5_8", "mlx5_9"}));
    EXPECT_EQ(node.links.bandwidth_mb_s[0][7], 300000);
}

TEST_F(Corpus, SubNumaClustersAndALoneGpu) {
    const NodeTopology node = load("xe8640-spr-snc4-4xh100");
    EXPECT_EQ(numa_of(node), (Numbers{3, 1, 7, 5}));
    EXPECT_EQ(nics_of(node), (Names{"mlx5_0+mlx5_1", "mlx5_2", "", "mlx5_3"}));
    EXPECT_EQ(node.links.bandwidth_mb_s[0][3], 150000);
}

TEST_F(Corpus, Mi250xHasNumaNodesL3sAndNicsByDie) {
    const NodeTopology node = load("tioga-ex235a-mi250x");
    EXPECT_EQ(numa_of(node), (Numbers{3, 3, 1, 1, 0, 0, 2, 2}));
    EXPECT_EQ(node.slots[1].cpus.to_string(), "56-63,120-127");
    EXPECT_EQ(nics_of(node),
              (Names{"hsi0", "hsi0", "hsi1", "hsi1", "hsi2", "hsi2", "hsi3", "hsi3"}));
    EXPECT_EQ(node.links.bandwidth_mb_s[0][1], std::nullopt);
}

TEST_F(Corpus, NicsCountBackwards) {
    EXPECT_EQ(numa_of(load("perlmutter-a100-4gpu")), (Numbers{3, 2, 1, 0}));
    EXPECT_EQ(nics_of(load("perlmutter-a100-4gpu")), (Names{"cxi3", "cxi2", "cxi1", "cxi0"}));
    EXPECT_EQ(nics_of(load("ibm-gx3d-h100-vm-from-nccl")).front(), "mlx5_7");
}

TEST_F(Corpus, FourInterfacesForEachGpu) {
    const NodeTopology node = load("aws-p5.48xlarge-h100");
    EXPECT_EQ(nics_of(node).front(), "rdmap79s0+rdmap80s0+rdmap81s0+rdmap82s0");
    EXPECT_EQ(node.slots[7].nics.size(), 4U);
}

TEST_F(Corpus, PowerHasLinksToItsPackages) {
    const NodeTopology minsky = load("power8-minsky-p100.reduced");
    EXPECT_EQ(minsky.links.bandwidth_mb_s[0][1], 40000);
    EXPECT_EQ(minsky.links.link_class[0][2], LinkClass::sys);
    const NodeTopology lassen = load("lassen-power9-4xv100");
    EXPECT_EQ(numa_of(lassen), (Numbers{0, 0, 8, 8}));
    EXPECT_EQ(load("ac922-power9-6xv100.gpunuma.reduced").numa_nodes.size(), 2U);
    EXPECT_EQ(load("sierra-power9-4xv100.v1").numa_nodes.size(), 2U);
}

TEST_F(Corpus, SixteenGpusOnTwoBoardsAreOneFabric) {
    EXPECT_EQ(load("dgx2h-v100-nvswitch.reduced").links.bandwidth_mb_s[0][15], 150000);
}

TEST_F(Corpus, WhatIsNotKnownStaysUnknown) {
    EXPECT_EQ(load("gcp-a4-b200").links.bandwidth_mb_s[0][1], std::nullopt);
    const NodeTopology nowhere = load("intel-irregular-3gpu-pci");
    EXPECT_EQ(numa_of(nowhere), (Numbers{-1, -1}));
    EXPECT_EQ(nowhere.links.link_class[0][1], std::nullopt);
    EXPECT_EQ(nowhere.slots[0].gpus[0].uuid, "");
}

// A published `nvidia-smi topo -m`: words by row and column name.
using Published = std::map<std::string, std::map<std::string, std::string>>;

Published read_published(const fs::path& file) {
    Published table;
    Names columns;
    std::ifstream stream(file);
    for (std::string line; std::getline(stream, line);) {
        std::istringstream words(line);
        std::string word;
        Names cells;
        while (words >> word) {
            cells.push_back(word);
        }
        if (cells.empty() || cells[0][0] == '#') {
            continue;
        }
        if (columns.empty()) {
            columns = cells;
            continue;
        }
        for (std::size_t index = 1; index < cells.size() && index <= columns.size(); ++index) {
            table[cells[0]][columns[index - 1]] = cells[index];
        }
    }
    return table;
}

// What nvidia-smi printed on the real machine has no NIC nearer to a GPU than the ones we give it.
TEST_F(Corpus, NicsAreTheNearestOfThePublishedMatrices) {
    const std::map<std::string, int> distance = {
        {"PIX", 1}, {"PXB", 2}, {"PHB", 3}, {"NODE", 4}, {"SYS", 5}};
    for (const char* name : {"dgx-h100", "dgx-a100", "gcp-a4-b200"}) {
        SCOPED_TRACE(name);
        const Published published =
            read_published(root_ / "nvidia-smi" / (std::string(name) + ".topo-m.txt"));
        const NodeTopology node = load(name);
        for (const Slot& slot : node.slots) {
            const auto& row = published.at("GPU" + std::to_string(slot.slot.value()));
            int nearest = 5;
            int ours = 0;
            for (const auto& [column, word] : row) {
                if (distance.count(word) == 0 || column.substr(0, 3) == "GPU") {
                    continue;
                }
                nearest = std::min(nearest, distance.at(word));
                // NIC3 is mlx5_3 on these machines.
                const std::string nic =
                    column.substr(0, 3) == "NIC" ? "mlx5_" + column.substr(3) : column;
                if (std::count(slot.nics.begin(), slot.nics.end(), nic) != 0) {
                    ours = std::max(ours, distance.at(word));
                }
            }
            EXPECT_EQ(ours, nearest) << "GPU " << slot.slot.value();
        }
    }
}

}  // namespace
}  // namespace mpitrain
