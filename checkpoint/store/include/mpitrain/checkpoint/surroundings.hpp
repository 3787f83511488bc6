#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "mpitrain/checkpoint/container.hpp"
#include "mpitrain/checkpoint/device_memory.hpp"
#include "mpitrain/checkpoint/lease.hpp"
#include "mpitrain/checkpoint/peers.hpp"
#include "mpitrain/checkpoint/retention.hpp"
#include "mpitrain/checkpoint/staging.hpp"
#include "mpitrain/seam/file_system.hpp"

namespace mpitrain::checkpoint {

// Everything a save or load asks of the world, so that a test can give it another. The references
// must outlive whoever holds it.
struct Surroundings {
    FileSystem& files;
    Container& container;
    Peers& peers;
    const Staging& staging;  // one save or load at a time uses it
    std::function<std::chrono::system_clock::time_point()> now;
    std::function<std::string()> fresh_token;  // unique in all the world: hex digits
    WriterIdentity self;
    Lease::IsDead is_dead;
};

struct StoreOptions {
    std::string directory{};
    std::string model{};
    Retention keep{};
    std::chrono::milliseconds deadline = std::chrono::minutes(10);
    bool hdf5_view = true;
    Layout layout = Layout::per_rank;
    DeviceMemory* device = nullptr;  // what is said to be on a device is there; outlives the saver
    std::uint64_t background_bytes_per_second = 0;  // of a save behind the training; 0: no limit
};

}  // namespace mpitrain::checkpoint
