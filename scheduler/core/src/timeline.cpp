#include "timeline.hpp"

#include <algorithm>

namespace mpitrain::scheduler {
namespace {

constexpr Nanoseconds forever = Nanoseconds::max();

}  // namespace

void Timeline::set(NodeId node, int free, std::vector<Release> releases) {
    at(node).free = free;
    at(node).releases = std::move(releases);
}

void Timeline::book(NodeId node, const Booked& booked) {
    at(node).booked.push_back(booked);
}

void Timeline::withdraw(NodeId node, int owner) {
    std::erase_if(at(node).booked, [&](const Booked& one) { return one.owner == owner; });
}

void Timeline::starts(NodeId id,
                      int slots,
                      Nanoseconds length,
                      Nanoseconds now,
                      std::vector<StartSpan>& found) const {
    const Node& node = at(id);
    if (node.booked.empty()) {  // what is free only grows
        int free = node.free;
        Nanoseconds first = now;
        for (std::size_t i = 0; free < slots && i < node.releases.size(); ++i) {
            free += node.releases[i].slots;
            first = std::max(node.releases[i].at, now + Nanoseconds(1));
        }
        if (free >= slots && first != forever) {
            found.push_back({first, forever});
        }
        return;
    }
    struct Change {
        Nanoseconds at;
        int by;
    };
    std::vector<Change> changes;
    changes.push_back({now, node.free});
    for (const Release& release : node.releases) {
        changes.push_back({std::max(release.at, now + Nanoseconds(1)), release.slots});
    }
    for (const Booked& booked : node.booked) {
        changes.push_back({std::max(booked.begin, now), -booked.slots});
        if (booked.end != forever) {
            changes.push_back({std::max(booked.end, now), booked.slots});
        }
    }
    std::sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) {
        return a.at < b.at;
    });
    int free = 0;
    Nanoseconds since = forever;  // there have been enough
    const auto close = [&](Nanoseconds until) {
        if (since == forever) {
            return;
        }
        if (until == forever) {
            found.push_back({since, forever});
        } else if (length <= until - since) {
            found.push_back({since, until - length});
        }
        since = forever;
    };
    for (std::size_t i = 0; i < changes.size();) {
        const Nanoseconds time = changes[i].at;
        for (; i < changes.size() && changes[i].at == time; ++i) {
            free += changes[i].by;
        }
        if (time == forever) {
            break;
        }
        if (free < slots) {
            close(time);
        } else if (since == forever) {
            since = time;
        }
    }
    close(forever);
}

bool Timeline::may_start(
    NodeId node, int slots, Nanoseconds length, Nanoseconds start, Nanoseconds now) const {
    std::vector<StartSpan> spans;
    starts(node, slots, length, now, spans);
    return std::any_of(spans.begin(), spans.end(), [&](const StartSpan& span) {
        return span.first <= start && start <= span.last;
    });
}

}  // namespace mpitrain::scheduler
