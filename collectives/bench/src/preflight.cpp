#include "preflight.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "preflight_verdict.hpp"

namespace mpitrain::collectives::bench {

namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

constexpr std::size_t memory_bytes = std::size_t{16} << 20;
constexpr std::size_t message_bytes = std::size_t{1} << 20;
constexpr int tries = 5;  // the best counts: what else the machine does is not the slot's fault
constexpr int pings = 20;
constexpr double share_min = 0.5;

double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

double measure_memory() {
    std::vector<std::byte> from(memory_bytes, std::byte{1});
    std::vector<std::byte> to(memory_bytes);
    double best = 0;
    for (int i = 0; i < tries; ++i) {
        const auto begin = Clock::now();
        std::memcpy(to.data(), from.data(), from.size());
        best = std::max(best, static_cast<double>(memory_bytes) / seconds_since(begin) / 1e9);
        std::swap(from, to);
    }
    return best;
}

// Both ways at once with one other rank.
Result<void> measure_pair(Communicator& ranks, int other, SlotScore& score) {
    std::vector<std::uint8_t> out(message_bytes, 1);
    std::vector<std::uint8_t> in(message_bytes);
    double best = 0;
    for (int i = 0; i < tries; ++i) {
        const auto begin = Clock::now();
        MPITRAIN_TRY_VOID(ranks.send_recv(out, other, in, other));
        best = std::max(best, static_cast<double>(message_bytes) / seconds_since(begin) / 1e6);
    }
    const std::array<std::uint8_t, 8> ping{};
    std::array<std::uint8_t, 8> pong{};
    double shortest = 1e9;
    for (int i = 0; i < pings; ++i) {
        const auto begin = Clock::now();
        MPITRAIN_TRY_VOID(ranks.send_recv(ping, other, pong, other));
        shortest = std::min(shortest, seconds_since(begin) * 1e6);
    }
    score.pair_mb_s[static_cast<std::size_t>(other)] = best;
    score.pair_us[static_cast<std::size_t>(other)] = shortest;
    return {};
}

Result<SlotScore> measure_slot(Communicator& ranks) {
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    const auto count = static_cast<std::size_t>(ranks.size());
    SlotScore score{.rank = ranks.rank(),
                    .host = host.data(),
                    .memory_gb_s = 0,
                    .pair_mb_s = std::vector<double>(count),
                    .pair_us = std::vector<double>(count)};
    MPITRAIN_TRY_VOID(ranks.barrier());
    score.memory_gb_s = measure_memory();
    const int rounds = ranks.size() - 1 + ranks.size() % 2;
    for (int round = 0; round < rounds; ++round) {
        MPITRAIN_TRY_VOID(ranks.barrier());
        const int other = partner_in_round(ranks.rank(), round, ranks.size());
        if (other >= 0) {
            MPITRAIN_TRY_VOID(measure_pair(ranks, other, score));
        }
    }
    return score;
}

// Megabytes a second of an allreduce whose every element is checked; 0 where one is wrong.
Result<double> measure_allreduce(Communicator& ranks) {
    std::vector<float> data(message_bytes);
    double best = 0;
    for (int i = 0; i < tries; ++i) {
        std::fill(data.begin(), data.end(), static_cast<float>(ranks.rank() + 1));
        const auto begin = Clock::now();
        MPITRAIN_TRY_VOID(ranks.allreduce(data, ReduceOp::sum));
        const double bytes = static_cast<double>(data.size() * sizeof(float));
        best = std::max(best, bytes / seconds_since(begin) / 1e6);
        const auto sum = static_cast<float>(ranks.size() * (ranks.size() + 1) / 2);
        if (std::count(data.begin(), data.end(), sum) != static_cast<std::ptrdiff_t>(data.size())) {
            return 0.0;
        }
    }
    return best;
}

Result<std::vector<SlotScore>> gather(Communicator& ranks, const SlotScore& own) {
    const Json mine = {{"rank", own.rank},
                       {"host", own.host},
                       {"memory_gb_s", own.memory_gb_s},
                       {"pair_mb_s", own.pair_mb_s},
                       {"pair_us", own.pair_us}};
    MPITRAIN_TRY(const auto all, exchange_bytes(ranks, mine.dump()));
    std::vector<SlotScore> scores;
    for (const std::string& text : all) {
        const Json one = Json::parse(text);
        scores.push_back({.rank = one["rank"],
                          .host = one["host"],
                          .memory_gb_s = one["memory_gb_s"],
                          .pair_mb_s = one["pair_mb_s"],
                          .pair_us = one["pair_us"]});
    }
    return scores;
}

void print(const Options& options,
           const std::vector<SlotScore>& scores,
           double allreduce_mb_s,
           const std::vector<Suspect>& suspects) {
    Json rows = Json::array();
    std::string text = fmt::format("{:>5} {:>20} {:>12} {:>10} {:>10} {:>8}\n",
                                   "rank",
                                   "host",
                                   "memory GB/s",
                                   "worst MB/s",
                                   "best MB/s",
                                   "us");
    for (const SlotScore& score : scores) {
        std::vector<double> pairs = score.pair_mb_s;
        std::vector<double> times = score.pair_us;
        pairs.erase(pairs.begin() + score.rank);
        times.erase(times.begin() + score.rank);
        const bool alone = pairs.empty();
        text += fmt::format("{:>5} {:>20} {:>12.1f} {:>10.0f} {:>10.0f} {:>8.1f}\n",
                            score.rank,
                            score.host,
                            score.memory_gb_s,
                            alone ? 0 : *std::min_element(pairs.begin(), pairs.end()),
                            alone ? 0 : *std::max_element(pairs.begin(), pairs.end()),
                            alone ? 0 : *std::max_element(times.begin(), times.end()));
        rows.push_back({{"name", "slot"},
                        {"params", {{"rank", score.rank}, {"host", score.host}}},
                        {"value", score.memory_gb_s},
                        {"unit", "GB/s"},
                        {"pair_mb_s", score.pair_mb_s},
                        {"pair_us", score.pair_us}});
    }
    text += fmt::format("allreduce of 4 MiB: {:.0f} MB/s\n", allreduce_mb_s);
    Json named = Json::array();
    for (const Suspect& suspect : suspects) {
        const std::string& host = scores[static_cast<std::size_t>(suspect.rank)].host;
        text += fmt::format("SUSPECT rank {} on {}: {}\n", suspect.rank, host, suspect.why);
        named.push_back({{"rank", suspect.rank}, {"host", host}, {"why", suspect.why}});
    }
    text += suspects.empty() ? "all slots look sound\n" : "";
    const Json json = {{"schema", "mpitrain.bench/1"},
                       {"bench", "preflight"},
                       {"rows", rows},
                       {"allreduce_mb_s", allreduce_mb_s},
                       {"suspects", named}};
    fmt::print("{}", options.format == Format::json ? json.dump(2) + "\n" : text);
    std::fflush(stdout);
}

}  // namespace

Result<std::size_t> preflight(const Options& options, Communicator& ranks) {
    MPITRAIN_TRY(const SlotScore own, measure_slot(ranks));
    MPITRAIN_TRY(const double allreduce_mb_s, measure_allreduce(ranks));
    MPITRAIN_TRY(const auto scores, gather(ranks, own));
    auto suspects = find_suspects(scores, share_min);
    std::vector<std::int32_t> wrong(static_cast<std::size_t>(ranks.size()));
    const std::vector<std::int32_t> mine{allreduce_mb_s > 0 ? 0 : 1};
    MPITRAIN_TRY_VOID(ranks.allgather(mine, wrong));
    for (std::size_t r = 0; r < wrong.size(); ++r) {
        if (wrong[r] != 0) {
            suspects.push_back({static_cast<int>(r), "got a wrong sum from an allreduce"});
        }
    }
    if (ranks.rank() == 0) {
        print(options, scores, allreduce_mb_s, suspects);
    }
    return suspects.size();
}

}  // namespace mpitrain::collectives::bench
