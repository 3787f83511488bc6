#include "repeat.hpp"

#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include "mpitrain/collectives/gradient_reducer.hpp"

namespace mpitrain::collectives::bench {

namespace {

constexpr std::size_t sizes[] = {1, 1000, 100'003, 2'500'003};
constexpr std::size_t largest = 2'500'003;
constexpr int parameters = 7;

class Digest {
  public:
    void add(const void* data, std::size_t bytes) {
        const auto* at = static_cast<const unsigned char*>(data);
        for (std::size_t i = 0; i < bytes; ++i) {
            hash_ = (hash_ ^ at[i]) * 0x100000001b3U;  // FNV-1a
        }
    }
    [[nodiscard]] std::uint64_t value() const { return hash_; }

  private:
    std::uint64_t hash_ = 0xcbf29ce484222325U;
};

// Numbers of many magnitudes, so that sums depend on the order; the same in every run.
template <typename T>
std::vector<T> inputs_of(int rank, float largest_value) {
    std::minstd_rand random(static_cast<unsigned>(rank) + 1);
    std::uniform_real_distribution<float> unit(-1, 1);
    std::vector<T> values(largest);
    for (T& value : values) {
        const float factor = unit(random);
        value = static_cast<T>(factor * factor * unit(random) * largest_value);
    }
    return values;
}

class Run {
  public:
    Run(Communicator& ranks, bool overlap)
        : ranks_(ranks),
          overlap_(overlap),
          random_(std::random_device()()),
          singles_(inputs_of<float>(ranks.rank(), 1e9F)),
          halves_(inputs_of<Float16>(ranks.rank(), 1e3F)),
          gradient_(largest) {}

    Result<void> open() {
        const std::size_t each = largest / parameters;
        std::vector<Buffer> parts;
        for (std::size_t p = 0; p < parameters; ++p) {
            const std::size_t begin = p * each;
            const std::size_t end = p + 1 == parameters ? largest : begin + each;
            parts.emplace_back(&gradient_[begin], end - begin, DataType::f32);
        }
        MPITRAIN_TRY(
            auto reducer,
            GradientReducer::open(
                ranks_, parts, {.bucket_bytes = std::size_t{2} << 20, .overlap = overlap_}));
        reducer_.emplace(std::move(reducer));
        return {};
    }

    // The bits that this rank got.
    Result<std::uint64_t> bits() {
        Digest digest;
        for (const std::size_t count : sizes) {
            MPITRAIN_TRY_VOID(reductions(singles_, count, digest));
            MPITRAIN_TRY_VOID(reductions(halves_, count, digest));
        }
        gradient_ = singles_;
        for (std::size_t p = parameters; p > 0; --p) {
            wait();
            reducer_->ready(p - 1);
        }
        MPITRAIN_TRY_VOID(reducer_->finish());
        digest.add(gradient_.data(), gradient_.size() * sizeof(float));
        return digest.value();
    }

  private:
    void wait() { std::this_thread::sleep_for(std::chrono::microseconds(random_() % 2000)); }

    template <typename T>
    Result<void> reductions(const std::vector<T>& all, std::size_t count, Digest& digest) {
        const auto parts = static_cast<std::size_t>(ranks_.size());
        const ConstBuffer send(all.data(), count, data_type_of<T>);
        std::vector<T> sum(count);
        wait();
        MPITRAIN_TRY_VOID(ranks_.allreduce(send, sum, ReduceOp::sum));
        digest.add(sum.data(), count * sizeof(T));
        wait();
        MPITRAIN_TRY_VOID(ranks_.reduce(send, sum, ReduceOp::avg, ranks_.size() - 1));
        if (ranks_.rank() == ranks_.size() - 1) {
            digest.add(sum.data(), count * sizeof(T));
        }
        const std::size_t each = count / parts;
        wait();
        MPITRAIN_TRY_VOID(
            ranks_.reduce_scatter(ConstBuffer(all.data(), each * parts, data_type_of<T>),
                                  Buffer(sum.data(), each, data_type_of<T>),
                                  ReduceOp::sum));
        digest.add(sum.data(), each * sizeof(T));
        return {};
    }

    Communicator& ranks_;
    bool overlap_;
    std::minstd_rand random_;
    std::vector<float> singles_;
    std::vector<Float16> halves_;
    std::vector<float> gradient_;
    std::optional<GradientReducer> reducer_;
};

}  // namespace

Result<Repeated> repeat_with_delays(int runs, bool overlap, Communicator& ranks) {
    Run run(ranks, overlap);
    MPITRAIN_TRY_VOID(run.open());
    Repeated repeated{.runs = runs};
    std::vector<std::int64_t> first;
    for (int i = 0; i < runs; ++i) {
        MPITRAIN_TRY(const std::uint64_t bits, run.bits());
        const std::vector<std::int64_t> mine{static_cast<std::int64_t>(bits)};
        std::vector<std::int64_t> all(static_cast<std::size_t>(ranks.size()));
        MPITRAIN_TRY_VOID(ranks.allgather(mine, all));
        first = i == 0 ? all : first;
        repeated.others += all == first ? 0 : 1;
    }
    Digest digest;
    digest.add(first.data(), first.size() * sizeof(std::int64_t));
    repeated.digest = digest.value();
    return repeated;
}

}  // namespace mpitrain::collectives::bench
