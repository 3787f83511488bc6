#include "cores.hpp"

#include <algorithm>
#include <numeric>

namespace mpitrain::topology {
namespace {

using Indices = std::vector<std::size_t>;

// The cores each GPU may draw from, by index.
std::vector<Indices> reachable(const std::vector<CpuSet>& cores,
                               const std::vector<Accelerator>& gpus) {
    std::vector<Indices> result;
    for (const Accelerator& gpu : gpus) {
        Indices near;
        for (std::size_t core = 0; core < cores.size(); ++core) {
            if (gpu.locality.cpus.intersects(cores[core])) {
                near.push_back(core);
            }
        }
        if (near.empty()) {
            near.resize(cores.size());
            std::iota(near.begin(), near.end(), std::size_t{0});
        }
        result.push_back(std::move(near));
    }
    return result;
}

// How many cores each GPU gets: every core, the least wanted first, goes to the poorest GPU that
// may have it.
Indices fair_counts(std::size_t cores, const std::vector<Indices>& near) {
    std::vector<Indices> wanted_by(cores);
    for (std::size_t gpu = 0; gpu < near.size(); ++gpu) {
        for (const std::size_t core : near[gpu]) {
            wanted_by[core].push_back(gpu);
        }
    }
    std::stable_sort(wanted_by.begin(), wanted_by.end(), [](const Indices& a, const Indices& b) {
        return a.size() < b.size();
    });
    Indices counts(near.size());
    for (const Indices& gpus : wanted_by) {
        const auto poorest =
            std::min_element(gpus.begin(), gpus.end(), [&counts](std::size_t a, std::size_t b) {
                return counts[a] < counts[b];
            });
        if (poorest != gpus.end()) {
            ++counts[*poorest];
        }
    }
    return counts;
}

}  // namespace

void split_cores(const std::vector<CpuSet>& cores, std::vector<Accelerator>& gpus) {
    const std::vector<Indices> near = reachable(cores, gpus);
    const Indices counts = fair_counts(cores.size(), near);
    // Narrow places first: places are nested, so what a wide one gets is still there afterwards.
    Indices order(gpus.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&near](std::size_t a, std::size_t b) {
        return near[a].size() < near[b].size();
    });
    std::vector<bool> taken(cores.size());
    for (const std::size_t gpu : order) {
        gpus[gpu].cpus = {};
        std::size_t left = counts[gpu];
        for (const std::size_t core : near[gpu]) {
            if (left > 0 && !taken[core]) {
                taken[core] = true;
                gpus[gpu].cpus |= cores[core];
                --left;
            }
        }
    }
}

}  // namespace mpitrain::topology
