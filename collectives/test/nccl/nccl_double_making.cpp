// The double's ways to make communicators of communicators: split, shrink, grow.
#include <algorithm>
#include <cstring>
#include <string>
#include <tuple>

#include "nccl/nccl_double_state.hpp"

namespace mpitrain::collectives::testing {

// One collective making: `expected` ranks must come. Those of one colour become one communicator.
struct Gathering {
    struct Entry {
        int color;
        int key;
        int rank;
        ncclComm_t comm;  // null: of no colour
    };
    int expected = 0;
    bool made = false;
    std::vector<Entry> entries;
};

std::mutex& making_mutex() {
    static std::mutex mutex;
    return mutex;
}

namespace {

std::map<std::string, std::shared_ptr<Gathering>> growing;  // by ticket
constexpr int by_ticket = -1;                               // in place of how many come

void make_if_complete(Gathering& gathering) {
    auto& entries = gathering.entries;
    if (static_cast<int>(entries.size()) < gathering.expected || gathering.made) {
        return;
    }
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
        return std::tuple(a.color, a.key, a.rank) < std::tuple(b.color, b.key, b.rank);
    });
    std::shared_ptr<Meeting> meeting;
    int color = NCCL_SPLIT_NOCOLOR;
    for (const auto& entry : entries) {
        if (entry.comm == nullptr) {
            continue;
        }
        if (!meeting || entry.color != color) {
            meeting = std::make_shared<Meeting>();
            color = entry.color;
        }
        entry.comm->rank = meeting->size++;
        meeting->joined = meeting->size;
        entry.comm->meeting = meeting;
    }
    gathering.made = true;
}

// Adds a rank; its communicator is there at once, and usable when all have come.
ncclResult_t gather(ncclComm_t parent,
                    const std::shared_ptr<Gathering>& gathering,
                    Gathering::Entry entry,
                    ncclComm_t* made) {
    *made = nullptr;
    if (entry.color != NCCL_SPLIT_NOCOLOR) {
        *made = std::make_unique<ncclComm>().release();
        (*made)->next = gathering;
    }
    entry.comm = *made;
    gathering->entries.push_back(entry);
    if (parent != nullptr) {
        parent->next = gathering;
    }
    make_if_complete(*gathering);
    return ncclInProgress;
}

std::shared_ptr<Gathering> gathering_of(ncclComm_t parent, int expected) {
    auto& found = parent->meeting->makings[{parent->made, expected}];
    if (!found) {
        found = std::make_shared<Gathering>();
        found->expected = expected;
    }
    ++parent->made;
    return found;
}

std::string text_of(const ncclUniqueId& id) {
    return std::string(id.internal, sizeof id.internal);
}

}  // namespace

bool is_made(const ncclComm& comm) {
    return !comm.next || comm.next->made;
}

}  // namespace mpitrain::collectives::testing

using namespace mpitrain::collectives::testing;

extern "C" {

ncclResult_t ncclCommSplit(
    ncclComm_t comm, int color, int key, ncclComm_t* made, ncclConfig_t* config) {
    if (config->blocking != 0) {
        return ncclInvalidUsage;
    }
    const std::lock_guard lock(making_mutex());
    const auto gathering = gathering_of(comm, comm->meeting->size);
    return gather(comm, gathering, {color, key, comm->rank, nullptr}, made);
}

ncclResult_t ncclCommShrink(ncclComm_t comm,
                            int* excluded,
                            int excluded_count,
                            ncclComm_t* made,
                            ncclConfig_t* config,
                            int flags) {
    const bool calls_itself = std::count(excluded, excluded + excluded_count, comm->rank) > 0;
    if (config->blocking != 0 || calls_itself || (comm->revoked && flags != NCCL_SHRINK_ABORT)) {
        return ncclInvalidUsage;
    }
    const std::lock_guard lock(making_mutex());
    const auto gathering = gathering_of(comm, comm->meeting->size - excluded_count);
    return gather(comm, gathering, {0, comm->rank, comm->rank, nullptr}, made);
}

ncclResult_t ncclCommGetUniqueId(ncclComm_t comm, ncclUniqueId* id) {
    const ncclResult_t result = ncclGetUniqueId(id);
    const std::lock_guard lock(making_mutex());
    // All old ranks find it by their communicator, the new ones by the ticket.
    auto& found = comm->meeting->makings[{comm->made, by_ticket}];
    if (!found) {
        found = std::make_shared<Gathering>();
    }
    growing[text_of(*id)] = found;
    return result;
}

ncclResult_t ncclCommGrow(ncclComm_t comm,
                          int ranks,
                          const ncclUniqueId* id,
                          int rank,
                          ncclComm_t* made,
                          ncclConfig_t* config) {
    if (config->blocking != 0 || (comm == nullptr && (id == nullptr || rank < 0))) {
        return ncclInvalidUsage;
    }
    const std::lock_guard lock(making_mutex());
    if (comm == nullptr) {
        const auto found = growing.find(text_of(*id));
        if (found == growing.end()) {
            return ncclInvalidArgument;
        }
        found->second->expected = ranks;
        return gather(nullptr, found->second, {0, rank, rank, nullptr}, made);
    }
    auto& gathering = comm->meeting->makings[{comm->made++, by_ticket}];
    if (!gathering) {
        gathering = std::make_shared<Gathering>();
    }
    gathering->expected = ranks;
    return gather(comm, gathering, {0, comm->rank, comm->rank, nullptr}, made);
}

// Stops what is under way: nothing here runs by itself.
ncclResult_t ncclCommRevoke(ncclComm_t comm, int flags) {
    if (flags != NCCL_REVOKE_DEFAULT) {
        return ncclInvalidArgument;
    }
    comm->revoked = true;
    return ncclInProgress;
}

}  // extern "C"
