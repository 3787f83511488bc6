#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"

namespace mpitrain::checkpoint {

// The ranks that save and load together. The checkpoint room knows no MPI: this is all it asks of
// one. Used by one thread at a time.
class Peers {
  public:
    virtual ~Peers() = default;
    [[nodiscard]] virtual int rank() const = 0;
    [[nodiscard]] virtual int size() const = 0;
    // Gives every rank's string to every rank, in rank order. Collective. Errors: deadline_exceeded
    // or unavailable when a rank does not come; the group is then unusable, and every later call
    // says so at once.
    virtual Result<std::vector<std::string>> exchange(std::string mine,
                                                      std::chrono::milliseconds deadline) = 0;

    // The same without waiting, one at a time, and apart from exchange(): a rank may exchange()
    // while one is begun. begin() is collective, in that every rank comes to it some time; poll()
    // gives the strings once all have, and nullopt before.
    virtual Result<void> begin(std::string mine) = 0;
    virtual Result<std::optional<std::vector<std::string>>> poll() = 0;

    // Sends `out` to rank `to` and fills `in` from rank `from`, side by side; -1: nobody. The rank
    // at either end calls it alike, in the same order, with as many bytes. Errors: as exchange();
    // unsupported, by a group that moves no bulk.
    virtual Result<void> swap(int to,
                              std::span<const std::byte> out,
                              int from,
                              std::span<std::byte> in,
                              std::chrono::milliseconds deadline);
};

// A group of one.
std::unique_ptr<Peers> single_peer();

}  // namespace mpitrain::checkpoint
