#include "mpitrain/collectives/gradient_reducer.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "mpi_backend.hpp"
#include "reducer/background.hpp"
#include "reducer/buckets.hpp"
#include "reducer/compress.hpp"
#include "reducer/memory.hpp"

namespace mpitrain::collectives {

class GradientReducer::Inside {
  public:
    Inside(Communicator ranks,
           std::unique_ptr<ReducerMemory> memory,
           std::span<const Buffer> gradients,
           const GradientReducerOptions& options);
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    ~Inside();

    void ready(std::size_t index);
    Result<void> finish();
    [[nodiscard]] bool used(std::size_t index) const { return used_[index] != 0; }
    [[nodiscard]] std::size_t bucket_count() const { return buckets_.size(); }

  private:
    // All of these run on the background thread where there is one, one bucket at a time.
    Result<void> reduce(std::size_t index);
    Result<void> reduce_compressed(Buffer values, std::vector<float>& kept);
    // The bucket's gradients as one piece, from and to the memory they are really in.
    Result<Buffer> collect(const Bucket& bucket);
    Result<void> hand_out(const Bucket& bucket, Buffer collected);

    void release_whole_buckets();
    Result<void> clear_unused();
    void begin_step();

    Communicator ranks_;  // its own, so that the caller's stays free
    std::unique_ptr<ReducerMemory> memory_;
    GradientReducerOptions options_;
    std::vector<Buffer> gradients_;
    std::vector<Bucket> buckets_;
    std::vector<std::size_t> bucket_of_;  // by parameter
    std::vector<std::uint8_t> used_;      // in the last step, by any rank
    // Of this step.
    std::vector<std::uint8_t> ready_;
    std::vector<std::size_t> missing_;  // by bucket: parameters that are not ready
    std::size_t released_ = 0;          // buckets
    std::optional<Error> misuse_;
    // Scratch of the background thread.
    std::vector<std::uint16_t> sent_;
    std::vector<std::vector<float>> kept_;  // by compression; by bucket
    Background background_;                 // last: its thread uses all of the above
};

GradientReducer::Inside::Inside(Communicator ranks,
                                std::unique_ptr<ReducerMemory> memory,
                                std::span<const Buffer> gradients,
                                const GradientReducerOptions& options)
    : ranks_(std::move(ranks)),
      memory_(std::move(memory)),
      options_(options),
      gradients_(gradients.begin(), gradients.end()),
      buckets_(make_buckets(gradients, options.bucket_bytes)),
      bucket_of_(gradients.size()),
      used_(gradients.size()),
      ready_(gradients.size()),
      missing_(buckets_.size()),
      background_(options.overlap && ranks_.size() > 1, buckets_.size(), [this](std::size_t index) {
          return reduce(index);
      }) {
    for (std::size_t b = 0; b < buckets_.size(); ++b) {
        for (const std::size_t p : buckets_[b].parameters) {
            bucket_of_[p] = b;
        }
        const bool keeps = options.compression != Compression::none;
        kept_.emplace_back(keeps ? buckets_[b].count : 0);
    }
    begin_step();
}

// A step that will never be finished must not keep its thread, nor the other ranks, waiting.
GradientReducer::Inside::~Inside() {
    if (std::find(ready_.begin(), ready_.end(), 1) == ready_.end()) {
        return;
    }
    if (ranks_.backend() == BackendKind::mpi) {
        static_cast<MpiBackend&>(backend_of(ranks_)).end_waiting();
    } else {
        ranks_.abort();
    }
}

void GradientReducer::Inside::ready(std::size_t index) {
    if (index >= gradients_.size() || ready_[index] != 0) {
        misuse_ =
            Error(ErrorCode::invalid_argument,
                  index >= gradients_.size() ? fmt::format("there is no parameter {}", index)
                                             : fmt::format("parameter {} was ready before", index))
                .at("ready");
        return;
    }
    ready_[index] = 1;
    --missing_[bucket_of_[index]];
    release_whole_buckets();
}

void GradientReducer::Inside::release_whole_buckets() {
    const std::size_t before = released_;
    while (released_ < buckets_.size() && missing_[released_] == 0) {
        ++released_;
    }
    if (released_ > before) {
        background_.release(released_);
    }
}

Result<void> GradientReducer::Inside::finish() {
    MPITRAIN_TRY_VOID(clear_unused());
    std::fill(missing_.begin(), missing_.end(), 0);
    release_whole_buckets();
    MPITRAIN_TRY_VOID(background_.wait());
    // The thread is idle until the next release().
    MPITRAIN_TRY_VOID(memory_->any_of(ranks_, ready_, used_));
    background_.restart();
    begin_step();
    if (misuse_) {
        return *std::exchange(misuse_, std::nullopt);
    }
    return {};
}

// Of buckets that no thread has begun: they are not whole.
Result<void> GradientReducer::Inside::clear_unused() {
    if (std::find(ready_.begin(), ready_.end(), 0) == ready_.end()) {
        return {};
    }
    MPITRAIN_TRY_VOID(memory_->follow_computation());
    for (std::size_t p = 0; p < gradients_.size(); ++p) {
        if (ready_[p] == 0) {
            MPITRAIN_TRY_VOID(memory_->zero(gradients_[p].data, gradients_[p].bytes()));
        }
    }
    return {};
}

void GradientReducer::Inside::begin_step() {
    std::fill(ready_.begin(), ready_.end(), 0);
    released_ = 0;
    for (std::size_t b = 0; b < buckets_.size(); ++b) {
        missing_[b] = buckets_[b].parameters.size();
    }
}

Result<Buffer> GradientReducer::Inside::collect(const Bucket& bucket) {
    if (bucket.whole.data != nullptr || bucket.count == 0) {
        return bucket.whole;
    }
    const DataType type = gradients_.front().type;
    MPITRAIN_TRY(std::byte* const collected, memory_->scratch(bucket.count * size_bytes(type)));
    std::byte* to = collected;
    for (const std::size_t p : bucket.parameters) {
        const Buffer& gradient = gradients_[p];
        MPITRAIN_TRY_VOID(memory_->copy(to, gradient.data, gradient.bytes()));
        to += gradient.bytes();
    }
    return Buffer(collected, bucket.count, type);
}

Result<void> GradientReducer::Inside::hand_out(const Bucket& bucket, Buffer collected) {
    if (collected.data == bucket.whole.data) {
        return {};
    }
    const auto* from = static_cast<const std::byte*>(collected.data);
    for (const std::size_t p : bucket.parameters) {
        const Buffer& gradient = gradients_[p];
        MPITRAIN_TRY_VOID(memory_->copy(gradient.data, from, gradient.bytes()));
        from += gradient.bytes();
    }
    return {};
}

Result<void> GradientReducer::Inside::reduce(std::size_t index) {
    const Bucket& bucket = buckets_[index];
    MPITRAIN_TRY_VOID(memory_->follow_computation());
    MPITRAIN_TRY(const Buffer values, collect(bucket));
    if (options_.compression == Compression::none) {
        MPITRAIN_TRY_VOID(ranks_.allreduce(values, options_.op));
    } else {
        MPITRAIN_TRY_VOID(reduce_compressed(values, kept_[index]));
    }
    return hand_out(bucket, values);
}

Result<void> GradientReducer::Inside::reduce_compressed(Buffer values, std::vector<float>& kept) {
    sent_.resize(std::max(sent_.size(), values.count));
    auto* value = static_cast<float*>(values.data);
    compress(value, kept.data(), sent_.data(), values.count, options_.compression);
    const Buffer sent(sent_.data(), values.count, sent_type(options_.compression));
    MPITRAIN_TRY_VOID(ranks_.allreduce(sent, options_.op));
    decompress(sent_.data(), value, values.count, options_.compression);
    return {};
}

namespace {

Result<void> check(const Communicator& ranks,
                   std::span<const Buffer> gradients,
                   const GradientReducerOptions& options) {
    const auto wrong = [](std::string_view what) {
        return Error(ErrorCode::invalid_argument, std::string(what)).at("GradientReducer");
    };
    if (gradients.empty()) {
        return wrong("there are no gradients");
    }
    const DataType type = gradients.front().type;
    const auto fits = [type](const Buffer& gradient) {
        return gradient.type == type && (gradient.data != nullptr || gradient.count == 0);
    };
    if ((type != DataType::f32 && type != DataType::f64) ||
        !std::all_of(gradients.begin(), gradients.end(), fits)) {
        return wrong("gradients must be all f32 or all f64, and not null");
    }
    if (options.op != ReduceOp::sum && options.op != ReduceOp::avg) {
        return wrong("the op must be sum or avg");
    }
    if (options.compression != Compression::none && type != DataType::f32) {
        return wrong("only f32 can be compressed");
    }
    if (options.compression != Compression::none && ranks.backend() == BackendKind::nccl) {
        return Error(ErrorCode::unsupported, "gradients on GPUs are not compressed")
            .at("GradientReducer");
    }
    return {};
}

// Communicators of their own over the same ranks, so that the caller's stay free.
Result<std::unique_ptr<Backend>> own_host_backend(Communicator& ranks, bool overlaps) {
    MPITRAIN_TRY(auto own, static_cast<MpiBackend&>(backend_of(ranks)).for_background());
    const auto& beside = static_cast<const MpiBackend&>(*own);
    if (overlaps && ranks.size() > 1 && !beside.may_run_beside_others()) {
        return Error(ErrorCode::unsupported,
                     "MPI was not started for calls from several threads at once")
            .at("GradientReducer")
            .mend("open the Environment with ThreadUse::any, or set overlap = false");
    }
    return own;
}

}  // namespace

Result<GradientReducer> GradientReducer::open(Communicator& ranks,
                                              std::span<const Buffer> gradients,
                                              const GradientReducerOptions& options) {
    MPITRAIN_TRY_VOID(check(ranks, gradients, options));
    std::unique_ptr<Backend> own;
    std::unique_ptr<ReducerMemory> memory;
    if (ranks.backend() == BackendKind::mpi) {
        MPITRAIN_TRY(own, own_host_backend(ranks, options.overlap));
        memory = host_reducer_memory();
    } else {
        MPITRAIN_TRY(own, backend_of(ranks).split(0, ranks.rank()));
        MPITRAIN_TRY(memory, device_reducer_memory(*own, options.compute_stream));
    }
    return GradientReducer(std::make_unique<Inside>(
        Communicator(std::move(own)), std::move(memory), gradients, options));
}

GradientReducer::GradientReducer(std::unique_ptr<Inside> inside) : inside_(std::move(inside)) {}
GradientReducer::GradientReducer(GradientReducer&&) noexcept = default;
GradientReducer::~GradientReducer() = default;

void GradientReducer::ready(std::size_t index) {
    inside_->ready(index);
}
Result<void> GradientReducer::finish() {
    return inside_->finish();
}
bool GradientReducer::used(std::size_t index) const {
    return inside_->used(index);
}
std::size_t GradientReducer::bucket_count() const {
    return inside_->bucket_count();
}

}  // namespace mpitrain::collectives
