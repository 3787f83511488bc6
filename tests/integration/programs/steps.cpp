// A training loop in small: every step every rank computes, all ranks add up in rank order, and the
// state is a function of the seed, the world size and the step alone, bit for bit.
//
//   steps [--steps N] [--step-us U] [--every K] [--result FILE] [--report DIR] [--no-mpi]
//         [--ignore-stop] [--commit-us U]
//
// Commits to MPITRAIN_CHECKPOINT_DIR/step-<n>/{manifest.json, state} every K steps and when told to
// stop, and goes on from MPITRAIN_RESUME. --result gets the last state as hexadecimal floats.
// --report gets attempt-<a>-rank-<r>: "stopped <step>", "finished <step>".
#include <mpi.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "mpitrain/client.hpp"

namespace mpitrain::programs {
namespace {

namespace fs = std::filesystem;

using State = std::array<double, 16>;

[[noreturn]] void die(const std::string& what) {
    std::perror(what.c_str());
    _exit(96);
}

// Durable before it returns: nothing of a commit may be visible that a crash could take back.
void write_file(const fs::path& path, const void* data, std::size_t size_bytes) {
    std::FILE* file = std::fopen(path.c_str(), "wb");
    if (file == nullptr || std::fwrite(data, 1, size_bytes, file) != size_bytes ||
        std::fflush(file) != 0 || fsync(fileno(file)) != 0 || std::fclose(file) != 0) {
        die(path);
    }
}

void write_file(const fs::path& path, const std::string& text) {
    write_file(path, text.data(), text.size());
}

class Ranks {
  public:
    explicit Ranks(bool mpi)
        : mpi_(mpi),
          rank_(environment_number("RANK", 0)),
          size_(mpi ? environment_number("WORLD_SIZE", 1) : 1) {
        if (mpi_) {
            MPI_Init(nullptr, nullptr);
            all_.resize(static_cast<std::size_t>(size_) * State().size());
        }
    }
    [[nodiscard]] int rank() const { return rank_; }
    [[nodiscard]] bool leads() const { return rank_ == 0; }

    // The sum over all ranks, always added in the same order.
    State sum(const State& mine) {
        if (!mpi_) {
            return mine;
        }
        constexpr int count = static_cast<int>(State().size());
        MPI_Allgather(
            mine.data(), count, MPI_DOUBLE, all_.data(), count, MPI_DOUBLE, MPI_COMM_WORLD);
        State total{};
        for (std::size_t i = 0; i < all_.size(); ++i) {
            total[i % total.size()] += all_[i];
        }
        return total;
    }
    void barrier() const {
        if (mpi_) {
            MPI_Barrier(MPI_COMM_WORLD);
        }
    }
    void finalize() const {
        if (mpi_) {
            MPI_Finalize();
        }
    }

  private:
    bool mpi_;
    int rank_;
    int size_;
    std::vector<double> all_;
};

class Training {
  public:
    Training(const Arguments& arguments, Ranks& ranks)
        : ranks_(ranks),
          steps_(static_cast<std::uint64_t>(arguments.number("--steps", 100))),
          every_(static_cast<std::uint64_t>(arguments.number("--every", 10))),
          step_us_(static_cast<useconds_t>(arguments.number("--step-us", 1000))),
          commit_us_(static_cast<useconds_t>(arguments.number("--commit-us", 0))),
          obeys_(!arguments.has("--ignore-stop")) {
        state_.fill(0.5);
        if (!obeys_) {
            std::signal(SIGTERM, SIG_IGN);
        }
        if (const auto path = client::resume_path()) {
            load(*path);
        }
    }

    // Trains to the end. False when it was told to stop.
    bool run() {
        while (done_ < steps_) {
            if (obeys_ && client::should_stop(done_ + 1)) {
                commit();
                return false;
            }
            advance();
            const std::array<client::Metric, 1> metrics = {{{"loss", loss()}}};
            client::progress(done_, steps_, metrics);
            if (every_ > 0 && done_ % every_ == 0) {
                commit();
            }
        }
        commit();
        return true;
    }
    [[nodiscard]] std::uint64_t done() const { return done_; }
    [[nodiscard]] double loss() const {
        double sum = 0;
        for (const double value : state_) {
            sum += value * value;
        }
        return sum;
    }
    [[nodiscard]] std::string text() const {
        std::string text;
        for (const double value : state_) {
            std::array<char, 40> number{};
            std::snprintf(number.data(), number.size(), "%a\n", value);
            text += number.data();
        }
        return text;
    }

  private:
    void advance() {
        State gradient{};
        for (std::size_t i = 0; i < gradient.size(); ++i) {
            const auto noise = static_cast<double>(done_ * 31 + i * 7) + 0.1 * ranks_.rank();
            gradient[i] = std::sin(noise) + 0.01 * state_[i];
        }
        usleep(step_us_);
        const State total = ranks_.sum(gradient);
        for (std::size_t i = 0; i < state_.size(); ++i) {
            state_[i] -= 0.01 * total[i];
        }
        ++done_;
    }

    void commit() {
        const std::string directory = client::checkpoint_directory().value_or("");
        if (directory.empty() || last_commit_ == done_) {
            return;
        }
        client::checkpoint_started();
        ranks_.barrier();  // a rank that died before this step is part of no commit
        if (ranks_.leads()) {
            write_commit(directory);
        }
        ranks_.barrier();
        last_commit_ = done_;
        client::checkpoint_committed(done_);
    }

    void write_commit(const fs::path& directory) const {
        const fs::path visible = directory / ("step-" + std::to_string(done_));
        const fs::path making = directory / ("making-" + std::to_string(getpid()));
        std::error_code ignored;
        fs::create_directories(making, ignored);
        write_file(making / "state", state_.data(), sizeof state_);
        usleep(commit_us_);
        write_file(making / "manifest.json", "{\"step\": " + std::to_string(done_) + "}\n");
        fs::remove_all(visible, ignored);
        fs::rename(making, visible, ignored);
        if (ignored) {
            die(visible);
        }
        if (done_ >= 3 * every_ && every_ > 0) {
            fs::remove_all(directory / ("step-" + std::to_string(done_ - 3 * every_)), ignored);
        }
    }

    void load(const fs::path& commit) {
        std::FILE* file = std::fopen((commit / "state").c_str(), "rb");
        if (file == nullptr || std::fread(state_.data(), sizeof state_, 1, file) != 1) {
            die(commit);
        }
        std::fclose(file);
        done_ = std::stoull(commit.filename().string().substr(5));
        last_commit_ = done_;
    }

    Ranks& ranks_;
    State state_{};
    std::uint64_t done_ = 0;
    std::optional<std::uint64_t> last_commit_;
    std::uint64_t steps_;
    std::uint64_t every_;
    useconds_t step_us_;
    useconds_t commit_us_;
    bool obeys_;
};

int run(const Arguments& arguments) {
    Ranks ranks(!arguments.has("--no-mpi"));
    Training training(arguments, ranks);
    const bool finished = training.run();
    if (const std::string report = arguments.text("--report", ""); !report.empty()) {
        write_file(fs::path(report) / ("attempt-" + environment("MPITRAIN_ATTEMPT") + "-rank-" +
                                       std::to_string(ranks.rank())),
                   (finished ? "finished " : "stopped ") + std::to_string(training.done()) + "\n");
    }
    const std::string result = arguments.text("--result", "");
    if (finished && ranks.leads() && !result.empty()) {
        write_file(result, training.text());
    }
    if (ranks.leads()) {
        std::printf("%s at step %llu, loss %a\n",
                    finished ? "finished" : "stopped",
                    static_cast<unsigned long long>(training.done()),
                    training.loss());
    }
    ranks.finalize();
    return 0;
}

}  // namespace
}  // namespace mpitrain::programs

int main(int argc, char** argv) {
    return mpitrain::programs::run(mpitrain::programs::Arguments(argc, argv));
}
