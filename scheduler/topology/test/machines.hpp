#pragma once

#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "accelerator.hpp"
#include "machine.hpp"
#include "mpitrain/topology/discover.hpp"

namespace mpitrain::topology::test {

inline std::string fixture(const std::string& name) {
    return std::string(MPITRAIN_TOPOLOGY_FIXTURES) + "/" + name;
}

inline Result<NodeTopology> discover_fixture(const std::string& name) {
    DiscoverOptions options;
    options.xml_file = fixture(name);
    return discover(options);
}

// A directory of small files that vanishes with the object; stands for the root of a machine.
class FakeRoot {
  public:
    FakeRoot() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "mpitrain-topology-XXXXXX").string();
        path_ = mkdtemp(pattern.data());
    }
    FakeRoot(const FakeRoot&) = delete;
    FakeRoot& operator=(const FakeRoot&) = delete;
    ~FakeRoot() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    void write(const std::string& name, const std::string& text) const {
        const std::filesystem::path file = path_ / name;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file) << text;
    }
    [[nodiscard]] std::string path() const { return path_.string(); }

  private:
    std::filesystem::path path_;
};

// `count` GPUs, one on each PCI switch: bridges {host, root port, switch, port}.
inline std::vector<Accelerator> gpus(int count) {
    std::vector<Accelerator> result;
    for (int index = 0; index < count; ++index) {
        const auto number = static_cast<unsigned>(index);
        Accelerator gpu;
        gpu.gpu.pci = {0, 0x10 + number, 0, 0};
        gpu.gpu.uuid = "GPU-" + std::to_string(index) + "000";
        gpu.gpu.model = "NVIDIA T1";
        gpu.gpu.vendor = Vendor::nvidia;
        gpu.has_pci = true;
        gpu.bridges = {100 + number, 200 + number, 300 + number, 400 + number};
        gpu.locality = {CpuSet::range(0, 15), {0}};
        result.push_back(gpu);
    }
    return result;
}

// Single-thread cores 0 … count-1.
inline std::vector<CpuSet> cores(int count) {
    std::vector<CpuSet> result;
    for (int core = 0; core < count; ++core) {
        result.push_back(CpuSet::of({core}));
    }
    return result;
}

// `numa` NUMA nodes of eight single-thread cores.
inline Machine machine(int numa) {
    Machine result;
    result.host = "test";
    result.cores = cores(8 * numa);
    result.cpus = CpuSet::range(0, 8 * numa - 1);
    for (int node = 0; node < numa; ++node) {
        result.numa_nodes.push_back({node, CpuSet::range(8 * node, 8 * node + 7), Bytes(1 << 30)});
    }
    return result;
}

// What one NUMA node of machine() is as a place.
inline Locality on_numa(int node) {
    return {CpuSet::range(8 * node, 8 * node + 7), {node}};
}

}  // namespace mpitrain::topology::test
