// A gang of which one rank misbehaves: steps of an allreduce, until rank R does KIND at step S.
//
//   fault --kind exit|clean_exit|finalize_exit|segv|abort|kill|oom|mpi_abort|hang|stop|none
//         [--rank R] [--step S] [--steps N] [--step-us U] [--code C] [--attempt A]
//         [--no-mpi] [--cascade] [--daemon] [--seed N]
//
// --cascade: the other ranks hold a connection to the misbehaving one, as gloo's or NCCL's do, and
// fail in their own way soon after it breaks. --daemon: every rank leaves a double-forked setsid
// grandchild. --attempt A: only in attempt A.
#include <mpi.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>

#include "arguments.hpp"
#include "cascade.hpp"

namespace mpitrain::programs {
namespace {

struct Plan {
    std::string kind;
    int rank = 0;
    long step = 0;
    int code = 3;
};

class Ranks {
  public:
    explicit Ranks(bool mpi) : mpi_(mpi) {
        if (mpi_) {
            MPI_Init(nullptr, nullptr);
        }
    }
    // Like a training step: nobody gets further than one step ahead of a rank that hangs. While it
    // waits it looks at `cascade`.
    void step(Cascade* cascade) const {
        if (!mpi_) {
            return;
        }
        const double mine = 1;
        double sum = 0;
        MPI_Request request = MPI_REQUEST_NULL;
        MPI_Iallreduce(&mine, &sum, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD, &request);
        for (int done = 0; done == 0;) {
            MPI_Test(&request, &done, MPI_STATUS_IGNORE);
            if (done == 0 && cascade != nullptr) {
                cascade->react();
            }
        }
    }
    void finalize() const {
        if (mpi_) {
            MPI_Finalize();
        }
    }
    void abort(int code) const {
        if (mpi_) {
            MPI_Abort(MPI_COMM_WORLD, code);
        }
        _exit(code);
    }

  private:
    bool mpi_;
};

// A process that no process group, session or parent leads to.
void leave_daemon() {
    if (fork() != 0) {
        return;
    }
    setsid();
    if (fork() == 0) {
        sleep(600);
    }
    _exit(0);
}

[[noreturn]] void eat_memory() {
    constexpr std::size_t piece = 4U << 20U;
    for (std::size_t eaten = 0;; eaten += piece) {
        void* memory =
            mmap(nullptr, piece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED || eaten > (std::size_t{1} << 30U)) {
            std::fprintf(stderr, "no memory limit stops me\n");
            _exit(99);
        }
        std::memset(memory, 1, piece);
    }
}

void misbehave(const Plan& plan, const Ranks& ranks) {
    if (plan.kind == "exit") {
        _exit(plan.code);
    } else if (plan.kind == "clean_exit") {
        _exit(0);
    } else if (plan.kind == "finalize_exit") {
        ranks.finalize();
        _exit(plan.code);
    } else if (plan.kind == "segv") {
        std::raise(SIGSEGV);
    } else if (plan.kind == "abort") {
        std::abort();
    } else if (plan.kind == "kill") {
        std::raise(SIGKILL);
    } else if (plan.kind == "oom") {
        eat_memory();
    } else if (plan.kind == "mpi_abort") {
        ranks.abort(plan.code);
    } else if (plan.kind == "hang") {
        for (;;) {
            pause();
        }
    } else if (plan.kind == "stop") {
        std::raise(SIGSTOP);
    }
}

int run(const Arguments& arguments) {
    const Plan plan{.kind = arguments.text("--kind", "none"),
                    .rank = static_cast<int>(arguments.number("--rank", 0)),
                    .step = arguments.number("--step", 0),
                    .code = static_cast<int>(arguments.number("--code", 3))};
    const int rank = environment_number("RANK", 0);
    const int size = environment_number("WORLD_SIZE", 1);
    const bool this_attempt =
        arguments.number("--attempt", environment_number("MPITRAIN_ATTEMPT", 1)) ==
        environment_number("MPITRAIN_ATTEMPT", 1);
    if (arguments.has("--daemon")) {
        leave_daemon();
    }
    const Ranks ranks(!arguments.has("--no-mpi"));
    std::unique_ptr<Cascade> cascade;
    if (arguments.has("--cascade")) {
        cascade = std::make_unique<Cascade>(
            rank, size, plan.rank, static_cast<unsigned>(arguments.number("--seed", 0)));
    }
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    std::fprintf(stderr, "ready %.6f\n", std::chrono::duration<double>(now).count());
    const long steps = arguments.number("--steps", 1'000'000'000);
    const auto step_us = static_cast<useconds_t>(arguments.number("--step-us", 2000));
    for (long step = 0; step < steps; ++step) {
        if (rank == plan.rank && step == plan.step && this_attempt) {
            misbehave(plan, ranks);
        }
        ranks.step(cascade.get());
        if (cascade) {
            cascade->react();
        }
        usleep(step_us);
    }
    ranks.finalize();
    return 0;
}

}  // namespace
}  // namespace mpitrain::programs

int main(int argc, char** argv) {
    return mpitrain::programs::run(mpitrain::programs::Arguments(argc, argv));
}
