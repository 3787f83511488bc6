#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/checkpoint/peers.hpp"

namespace mpitrain::checkpoint {

// What all ranks know after they have told each other how they fared: every rank's word, or all
// that went wrong, so that all ranks can act alike.
struct Agreement {
    std::vector<std::string> words;  // by rank; only when none failed
    std::vector<Error> failures;     // by rank
    std::size_t mine = 0;            // of `failures`: this rank's own, or the first

    [[nodiscard]] bool failed() const { return !failures.empty(); }
    // The failure that this rank reports.
    [[nodiscard]] const Error& failure() const { return failures[mine]; }
};

// A word or an error on its way to the other ranks, and what all of them add up to.
std::string encode_word(const Result<std::string>& mine);
Agreement read_words(const std::vector<std::string>& told,
                     const Result<std::string>& mine,
                     int rank);

// Collective. Tells this rank's word, or its error. Errors: deadline_exceeded, unavailable (a rank
// is gone, and nobody knows what the others know); `phase` says what was being done.
Result<Agreement> agree(Peers& peers,
                        const Result<std::string>& mine,
                        std::chrono::milliseconds deadline,
                        std::string_view phase);

}  // namespace mpitrain::checkpoint
