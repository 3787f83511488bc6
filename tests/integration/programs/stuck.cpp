// Makes collectives for ever, in steps of three; at a step one rank does something that keeps the
// others waiting.
//   stuck --kind stop|loop|skip|size|order|read --rank R --step S --file FIFO [--plain]
//   stuck --kind slow --rank R --step S --steps N [--plain]
// The last ends well after N short steps, of which one took ten times as long: no hang at all.
// The sizes are beyond what MPI sends without waiting for its receiver: else a swap of two calls
// would go unnoticed.
// --plain: by MPI's own calls; else by mpitrain::collectives. Says where it went wrong in one line
// on standard output.
#include <fcntl.h>
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "arguments.hpp"
#include "mpitrain/collectives/mpi_interop.hpp"

namespace {

using namespace mpitrain::collectives;
using mpitrain::Result;
using mpitrain::programs::Arguments;

// As a program does that retries for ever: what it was told helps nobody but who reads the log.
void stay(const std::string& why) {
    std::fprintf(stderr, "a collective failed: %s\n", why.c_str());
    for (;;) {
        pause();
    }
}
void check(const Result<void>& done) {
    if (!done) {
        stay(done.error().text());
    }
}
void check(int code) {
    if (code != MPI_SUCCESS) {
        stay("MPI says " + std::to_string(code));
    }
}

constexpr std::chrono::milliseconds pause_of_a_step{5};
constexpr std::chrono::milliseconds pause_of_a_short_step{1};

struct Calls {
    Communicator* ranks;  // null: MPI's own
    std::vector<float> data = std::vector<float>(300'000, 1.0F);

    void allreduce(std::size_t count) {
        if (ranks != nullptr) {
            check(ranks->allreduce(Buffer(data.data(), count, DataType::f32), ReduceOp::max));
        } else {
            check(MPI_Allreduce(MPI_IN_PLACE,
                                data.data(),
                                static_cast<int>(count),
                                MPI_FLOAT,
                                MPI_MAX,
                                MPI_COMM_WORLD));
        }
    }
    void broadcast(std::size_t count) {
        if (ranks != nullptr) {
            check(ranks->broadcast(Buffer(data.data(), count, DataType::f32), 0));
        } else {
            check(MPI_Bcast(data.data(), static_cast<int>(count), MPI_FLOAT, 0, MPI_COMM_WORLD));
        }
    }
    void barrier() {
        if (ranks != nullptr) {
            check(ranks->barrier());
        } else {
            check(MPI_Barrier(MPI_COMM_WORLD));
        }
    }
};

// Whether the step is still to be made, as ever.
bool go_wrong(const std::string& kind, const std::string& file, Calls& calls) {
    std::printf("going wrong: %s\n", kind.c_str());
    std::fflush(stdout);
    if (kind == "stop") {
        raise(SIGSTOP);
    } else if (kind == "loop") {
        for (std::atomic<bool> never{false}; !never;) {
        }
    } else if (kind == "read") {
        char byte = 0;
        const int fifo = open(file.c_str(), O_RDONLY);  // nobody writes
        static_cast<void>(read(fifo, &byte, 1));
    } else if (kind == "size") {
        calls.broadcast(100'000);
        calls.allreduce(250'000);
        calls.barrier();
        return false;
    } else if (kind == "order") {
        calls.allreduce(300'000);
        calls.broadcast(100'000);
        calls.barrier();
        return false;
    } else if (kind == "skip") {
        calls.broadcast(100'000);
        calls.barrier();
        return false;
    }
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    const Arguments arguments(argc, argv);
    const std::string kind = arguments.text("--kind", "none");
    const std::string file = arguments.text("--file", "");
    const long wrong_rank = arguments.number("--rank", -1);
    const long wrong_step = arguments.number("--step", 0);
    auto environment = Environment::open();
    if (!environment) {
        return 1;
    }
    auto world = Communicator::world(*environment);
    if (!world) {
        return 1;
    }
    Calls calls{.ranks = arguments.has("--plain") ? nullptr : &*world};
    if (kind == "slow") {
        for (long step = 0; step < arguments.number("--steps", 0); ++step) {
            const bool slow = step == wrong_step && world->rank() == wrong_rank;
            std::this_thread::sleep_for(pause_of_a_short_step * (slow ? 10 : 1));
            calls.broadcast(100);
            calls.allreduce(300);
            calls.barrier();
        }
        return environment->close() ? 0 : 1;
    }
    for (long step = 0;; ++step) {
        std::this_thread::sleep_for(pause_of_a_step);
        if (step == wrong_step && world->rank() == wrong_rank && !go_wrong(kind, file, calls)) {
            continue;
        }
        calls.broadcast(100'000);
        calls.allreduce(300'000);
        calls.barrier();
    }
}
