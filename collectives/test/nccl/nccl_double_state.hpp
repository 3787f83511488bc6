#pragma once

#include <nccl.h>

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "nccl/fake_stream.hpp"

// What the files of the double share.
namespace mpitrain::collectives::testing {

using Bytes = std::vector<std::byte>;

// Ranks on their way into new communicators. Under making_mutex(), as all pointers to it.
struct Gathering;
std::mutex& making_mutex();

// What the ranks of one communicator share.
struct Meeting {
    std::mutex mutex;
    int size = 0;
    int joined = 0;
    std::map<std::pair<int, int>, std::deque<Bytes>> mail;  // (from, to)
    std::map<int, std::map<int, Bytes>> rounds;             // collective number, rank
    // By the number of makings before and how many come.
    std::map<std::pair<int, int>, std::shared_ptr<Gathering>> makings;
};

}  // namespace mpitrain::collectives::testing

struct ncclComm {
    std::shared_ptr<mpitrain::collectives::testing::Meeting> meeting;  // null until it is made
    int rank = 0;
    int round = 0;                                                    // collectives
    int made = 0;                                                     // splits and the like
    std::shared_ptr<mpitrain::collectives::testing::Gathering> next;  // the last of these
    bool revoked = false;
};

namespace mpitrain::collectives::testing {

// Whether the communicators that this one is on its way into are made.
bool is_made(const ncclComm& comm);

}  // namespace mpitrain::collectives::testing
