#include "cases.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <random>

#include "device_slab.hpp"
#include "mpitrain/checkpoint/checkpointer.hpp"
#include "mpitrain/checkpoint/cuda_memory.hpp"
#include "mpitrain/checkpoint/mpi_peers.hpp"
#include "parallel_hdf5.hpp"
#include "plain_files.hpp"
#include "state.hpp"

namespace mpitrain::checkpoint::bench {
namespace {

namespace fs = std::filesystem;

// A step of a round, and whether its files are needed until the round ends.
struct Case {
    CaseName name;
    std::function<Result<void>()> run;
};

// A model that a team saves, in a directory of its own.
struct Model {
    std::vector<TensorSpec> tensors;
    std::unique_ptr<Checkpointer> checkpoints;
    std::string directory;
    std::uint64_t step = 0;
};

class Bench {
  public:
    Bench(const Team& team, const Settings& settings)
        : team_(team),
          settings_(settings),
          share_bytes_(settings.total_bytes / static_cast<std::uint64_t>(team.size()) / 4096 *
                       4096),
          few_(split(team)),
          state_(slab_bytes()),
          back_(slab_bytes()) {
        state_.fill(settings.seed * 1000 + static_cast<std::uint64_t>(team.rank()));
        fill_replicated();
    }
    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;
    ~Bench() {
        models_.clear();
        behind_models_.clear();
        single_models_.clear();
        few_model_.checkpoints.reset();
        if (device_) {
            device_->unpin(back_.bytes());
        }
        peers_.reset();
        few_peers_.reset();
        MPI_Comm few = few_.comm();
        MPI_Comm_free(&few);
    }

    Result<Samples> run();

  private:
    // The first half of the ranks, at least one; the others are a team of their own that does
    // nothing.
    static Team split(const Team& team) {
        MPI_Comm few = MPI_COMM_NULL;
        const int colour = team.rank() < std::max(1, team.size() / 2) ? 0 : 1;
        MPI_Comm_split(team.comm(), colour, team.rank(), &few);
        return Team(few);
    }
    // What every rank holds must be the same on all: the models lie over each other in memory, so
    // it is one byte throughout.
    void fill_replicated() {
        for (const std::size_t count : settings_.tensor_counts) {
            const auto tensors =
                tensors_of(settings_.total_bytes, count, team_.rank(), team_.size());
            const auto places = to_load(tensors, state_.bytes());
            for (std::size_t i = 0; i < tensors.size(); ++i) {
                if (tensors[i].block.extent.empty()) {
                    std::memset(places[i].data,
                                0x5a,
                                *element_count(tensors[i].shape) * size_bytes(tensors[i].dtype));
                }
            }
        }
    }
    [[nodiscard]] bool is_of_few() const { return team_.rank() < std::max(1, team_.size() / 2); }
    [[nodiscard]] int few_count() const { return std::max(1, team_.size() / 2); }
    // Enough for the largest of the models as the fewer ranks hold it.
    [[nodiscard]] std::size_t slab_bytes() const {
        std::size_t most = 0;
        for (const std::size_t count : settings_.tensor_counts) {
            most = std::max(
                most,
                memory_bytes(tensors_of(settings_.total_bytes, count, team_.rank(), team_.size())));
        }
        if (is_of_few()) {
            most = std::max(
                most,
                memory_bytes(tensors_of(settings_.total_bytes, 1, team_.rank(), few_count())));
        }
        return std::max<std::size_t>(most, share_bytes_) + 4096;
    }
    [[nodiscard]] std::string plain_path(std::string_view name, int rank) const {
        return fmt::format("{}/plain/{}-{}", settings_.directory, name, rank);
    }

    Result<void> open();
    Result<Model> open_model(const std::string& name,
                             std::size_t count,
                             Peers& peers,
                             const Team& team,
                             Layout layout = Layout::per_rank) const;
    Result<void> save(Model& model, std::span<std::byte> memory) const;
    Result<void> open_device();
    // Where what is saved is, and where what is loaded goes.
    [[nodiscard]] std::span<std::byte> state() const {
        return device_state_ ? device_state_->bytes() : state_.bytes();
    }
    [[nodiscard]] std::span<std::byte> back() const {
        return device_back_ ? device_back_->bytes() : back_.bytes();
    }
    template <typename Tensors>
    [[nodiscard]] Tensors where_it_is(Tensors tensors) const {
        for (auto& tensor : tensors) {
            tensor.on_device = device_ != nullptr;
        }
        return tensors;
    }
    Result<void> round();
    std::vector<Case> writes();
    std::vector<Case> reads();
    Result<void> run_case(const Case& one, const Team& team);
    Result<void> background(std::size_t count);
    Result<void> compute_steps();
    void record(const CaseName& name, std::uint64_t amount, double seconds);
    Result<void> clean(const std::function<void()>& remove) const;
    std::vector<Part> parts_of(int reader, int readers) const;
    Result<void> load(const Model& saved, std::span<const TensorSpec> wanted, Checkpointer& loader);
    Result<void> check_back(std::span<const TensorSpec> tensors);

    const Team& team_;
    const Settings& settings_;
    std::uint64_t share_bytes_;
    Team few_;
    Slab state_;
    Slab back_;
    std::unique_ptr<DeviceMemory> device_;  // these three: null where all is on the host
    std::unique_ptr<DeviceSlab> device_state_;
    std::unique_ptr<DeviceSlab> device_back_;
    std::unique_ptr<Peers> peers_;
    std::unique_ptr<Peers> few_peers_;
    std::map<std::size_t, Model> models_;
    Model few_model_;
    std::map<std::size_t, Model> behind_models_;
    std::map<std::size_t, Model> single_models_;
    Samples samples_;
    std::uint64_t bytes_of_case_ = 0;
    bool dropped_ = false;  // the first round
    std::uint64_t round_ = 0;
};

Result<Model> Bench::open_model(const std::string& name,
                                std::size_t count,
                                Peers& peers,
                                const Team& team,
                                Layout layout) const {
    Model model;
    model.tensors = tensors_of(settings_.total_bytes, count, team.rank(), team.size());
    model.directory = settings_.directory + "/" + name;
    // Removing old commits would be timed too.
    MPITRAIN_TRY(model.checkpoints,
                 Checkpointer::open({.directory = model.directory,
                                     .keep_last = 0,
                                     .layout = layout,
                                     .device = device_.get()},
                                    peers));
    return model;
}

Result<void> Bench::open_device() {
    MPITRAIN_TRY(device_, open_cuda_memory());
    MPITRAIN_TRY(device_state_, DeviceSlab::make(state_.bytes().size()));
    MPITRAIN_TRY(device_back_, DeviceSlab::make(back_.bytes().size()));
    MPITRAIN_TRY_VOID(device_->pin(back_.bytes()));
    return device_state_->fill_from(state_.bytes());
}

Result<void> Bench::open() {
    if (settings_.on_device) {
        MPITRAIN_TRY_VOID(open_device());
    }
    std::error_code failed;
    fs::create_directories(settings_.directory + "/plain", failed);
    if (failed) {
        return system_error(failed.value(), "make", settings_.directory);
    }
    MPITRAIN_TRY(peers_, mpi_peers(team_.comm()));
    MPITRAIN_TRY(few_peers_, mpi_peers(few_.comm()));
    for (const std::size_t count : settings_.tensor_counts) {
        MPITRAIN_TRY(models_[count],
                     open_model(fmt::format("save-{}", count), count, *peers_, team_));
    }
    for (const std::size_t count : settings_.tensor_counts) {
        MPITRAIN_TRY(behind_models_[count],
                     open_model(fmt::format("async-{}", count), count, *peers_, team_));
    }
    for (const std::size_t count : settings_.tensor_counts) {
        if (count <= 300) {
            MPITRAIN_TRY(
                single_models_[count],
                open_model(fmt::format("single-{}", count), count, *peers_, team_, Layout::single));
        }
    }
    if (is_of_few()) {
        MPITRAIN_TRY(few_model_, open_model("save-few", 1, *few_peers_, few_));
    }
    return {};
}

Result<void> Bench::save(Model& model, std::span<std::byte> memory) const {
    MPITRAIN_TRY(
        [[maybe_unused]] const Commit commit,
        model.checkpoints->save(++model.step, where_it_is(to_save(model.tensors, memory))));
    return {};
}

Result<void> Bench::clean(const std::function<void()>& remove) const {
    team_.barrier();
    if (team_.rank() == 0) {
        remove();
        settle(settings_.directory);
    }
    team_.barrier();
    return {};
}

std::uint64_t bytes_of(std::span<const TensorSpec> tensors) {
    std::uint64_t bytes = 0;
    for (const TensorSpec& tensor : tensors) {
        bytes += *element_count(tensor.shape) * size_bytes(tensor.dtype);
    }
    return bytes;
}

std::vector<Case> Bench::writes() {
    std::vector<Case> cases;
    const auto plain = [&](const char* name, Cache cache) {
        cases.push_back(
            {{name, 1}, [this, name, cache]() -> Result<void> {
                 bytes_of_case_ = share_bytes_ * static_cast<std::uint64_t>(team_.size());
                 return write_plain(
                     plain_path(name, team_.rank()), state_.bytes().first(share_bytes_), cache);
             }});
    };
    plain("direct", Cache::past);
    plain("buffered", Cache::through);
    plain("direct-again", Cache::past);
    for (auto& [count, model] : models_) {
        cases.push_back({{"save", count}, [this, &model = model]() -> Result<void> {
                             bytes_of_case_ = bytes_of(model.tensors);
                             return save(model, state());
                         }});
        if (has_parallel_hdf5() && count <= 300) {
            cases.push_back(
                {{"parallel-hdf5", count}, [this, &model = model]() -> Result<void> {
                     bytes_of_case_ = bytes_of(model.tensors);
                     return write_parallel_hdf5(
                         team_, plain_path("shared.h5", 0), model.tensors, state_.bytes());
                 }});
        }
    }
    for (auto& [count, model] : single_models_) {
        cases.push_back({{"save-single", count}, [this, &model = model]() -> Result<void> {
                             bytes_of_case_ = bytes_of(model.tensors);
                             return save(model, state());
                         }});
    }
    return cases;
}

// What a reader reads of the plain files, each rank its share of the whole.
std::vector<Part> Bench::parts_of(int reader, int readers) const {
    const auto files = static_cast<std::uint64_t>(team_.size());
    const std::uint64_t total = share_bytes_ * files;
    const std::uint64_t unit = 4096;
    const auto border = [&](int at) {
        return total / unit * static_cast<std::uint64_t>(at) / static_cast<std::uint64_t>(readers) *
               unit;
    };
    std::vector<Part> parts;
    for (std::uint64_t at = border(reader); at < border(reader + 1);) {
        const std::uint64_t file = at / share_bytes_;
        const std::uint64_t end = std::min(border(reader + 1), (file + 1) * share_bytes_);
        parts.push_back(
            {plain_path("direct", static_cast<int>(file)), at % share_bytes_, end - at});
        at = end;
    }
    return parts;
}

Result<void> Bench::load(const Model& saved,
                         std::span<const TensorSpec> wanted,
                         Checkpointer& loader) {
    bytes_of_case_ = bytes_of(wanted);
    const std::string path = fmt::format("{}/step-{}", saved.directory, saved.step);
    MPITRAIN_TRY([[maybe_unused]] const Restored restored,
                 loader.load(path, where_it_is(to_load(wanted, back()))));
    return {};
}

std::vector<Case> Bench::reads() {
    std::vector<Case> cases;
    const auto plain = [&](const char* name, const Team& team, Cache cache) {
        cases.push_back(
            {{name, 1}, [this, &team, cache]() -> Result<void> {
                 bytes_of_case_ = share_bytes_ * static_cast<std::uint64_t>(team_.size());
                 return read_plain(parts_of(team.rank(), team.size()), back_.bytes(), cache);
             }});
    };
    plain("read-direct", team_, Cache::past);
    plain("read-buffered", team_, Cache::through);
    plain("read-direct-few", few_, Cache::past);
    for (auto& [count, model] : models_) {
        cases.push_back({{"load", count}, [this, &model = model] {
                             return load(model, model.tensors, *model.checkpoints);
                         }});
    }
    for (auto& [count, model] : single_models_) {
        cases.push_back({{"load-single", count}, [this, &model = model] {
                             return load(model, model.tensors, *model.checkpoints);
                         }});
    }
    cases.push_back({{"load-few", 1}, [this] {
                         return load(models_.at(1), few_model_.tensors, *few_model_.checkpoints);
                     }});
    cases.push_back({{"load-more", 1}, [this] {
                         Model saved;
                         saved.directory = settings_.directory + "/save-few";
                         saved.step = models_.at(1).step;
                         return load(saved, models_.at(1).tensors, *models_.at(1).checkpoints);
                     }});
    return cases;
}

bool is_for_few(const CaseName& name) {
    return name.first.ends_with("-few");
}

Result<void> Bench::run_case(const Case& one, const Team& team) {
    if (is_for_few(one.name) && !is_of_few()) {
        team_.barrier();
        return {};
    }
    auto taken = team.timed(one.run);
    if (is_for_few(one.name)) {
        team_.barrier();
    }
    if (!taken) {
        return Error(std::move(taken).error()).at(one.name.first);
    }
    record(one.name, bytes_of_case_, *taken);
    return {};
}

void Bench::record(const CaseName& name, std::uint64_t amount, double seconds) {
    Sample& sample = samples_[name];
    sample.bytes = amount;
    if (dropped_) {
        sample.seconds.push_back(seconds);
    }
}

// A training step: arithmetic in a core's own cache, about 10 ms.
double compute_one_step() {
    static std::vector<float> values(4096, 1.0F);
    for (int pass = 0; pass < 4000; ++pass) {
        for (float& value : values) {
            value = value * 0.999F + 0.001F;
        }
    }
    return static_cast<double>(values[17]);
}

constexpr int steps_alone = 40;

// How long steps take with nothing behind them: what those during a save are compared with.
Result<void> Bench::compute_steps() {
    MPITRAIN_TRY(const double taken, team_.timed([]() -> Result<void> {
        for (int step = 0; step < steps_alone; ++step) {
            static_cast<void>(compute_one_step());
        }
        return {};
    }));
    record({"steps-alone", 1}, steps_alone, taken);
    return {};
}

// A save behind the training: how long it holds the training up, how much slower steps are while
// it is written, and when it is durable.
Result<void> Bench::background(std::size_t count) {
    Model& model = behind_models_.at(count);
    const auto from = where_it_is(to_save(model.tensors, state()));
    const auto copies = to_load(model.tensors, back_.bytes());
    // What one rank stands still for, and the slowest of them: no barrier after it, since by then
    // the writers are at work on the same cores.
    team_.barrier();
    const double copying = seconds_now();
    for (std::size_t i = 0; i < from.size(); ++i) {
        const Block block = resolved_block(from[i].spec);
        const std::size_t size = *element_count(block.extent) * size_bytes(from[i].spec.dtype);
        if (device_) {
            MPITRAIN_TRY_VOID(device_->to_host({static_cast<std::byte*>(copies[i].data), size},
                                               static_cast<const std::byte*>(from[i].data)));
        } else {
            std::memcpy(copies[i].data, from[i].data, size);
        }
    }
    if (device_) {
        MPITRAIN_TRY_VOID(device_->finish());
    }
    const double copied = seconds_now() - copying;
    const std::uint64_t bytes = bytes_of(model.tensors);
    record({"copy", count}, bytes, team_.max(copied));
    team_.barrier();
    const double begun = seconds_now();
    const auto started = model.checkpoints->save_async(++model.step, from);
    const double stalled = seconds_now() - begun;
    if (!started || !*started) {
        return started ? Error(ErrorCode::unavailable, "the save was skipped") : started.error();
    }
    int steps = 0;
    std::optional<Result<Commit>> outcome;
    const double stepping = seconds_now();
    while (!outcome) {
        static_cast<void>(compute_one_step());
        ++steps;
        outcome = model.checkpoints->poll();
    }
    const double stepped = seconds_now() - stepping;
    if (!*outcome) {
        return Error(outcome->error());
    }
    record({"async-stall", count}, bytes, team_.max(stalled));
    record({"async-whole", count}, bytes, team_.max(seconds_now() - begun));
    // As many as were timed alone: how many fit into a save is another number each time.
    record({"steps-while-saving", count}, steps_alone, team_.max(stepped / steps) * steps_alone);
    return {};
}

// What came back is what `state_` holds, but for the few, whose shares are others'.
Result<void> Bench::check_back(std::span<const TensorSpec> tensors) {
    if (device_back_) {
        MPITRAIN_TRY_VOID(device_back_->copy_to(back_.bytes()));
    }
    const auto saved = to_save(tensors, state_.bytes());
    const auto loaded = to_load(tensors, back_.bytes());
    bool same = true;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const Block block = resolved_block(tensors[i]);
        const std::size_t size = *element_count(block.extent) * size_bytes(tensors[i].dtype);
        same = same && std::memcmp(saved[i].data, loaded[i].data, size) == 0;
    }
    std::memset(back_.bytes().data(), 0, back_.bytes().size());
    if (device_back_) {
        MPITRAIN_TRY_VOID(device_back_->fill_from(back_.bytes()));
    }
    return team_.all(same) ? Result<void>()
                           : Error(ErrorCode::data_loss, "what was loaded is not what was saved");
}

Result<void> Bench::round() {
    std::vector<Case> cases = writes();
    // The same order on every rank.
    std::mt19937_64 random(settings_.seed * 7919 + round_++);
    std::shuffle(cases.begin(), cases.end(), random);
    for (const Case& one : cases) {
        MPITRAIN_TRY_VOID(run_case(one, team_));
        MPITRAIN_TRY_VOID(clean([&] {
            std::error_code ignored;
            fs::remove(plain_path("shared.h5", 0), ignored);
            for (int rank = 0; rank < team_.size(); ++rank) {
                fs::remove(plain_path("buffered", rank), ignored);
                fs::remove(plain_path("direct-again", rank), ignored);
            }
        }));
    }
    MPITRAIN_TRY_VOID(compute_steps());
    for (auto& [count, model] : behind_models_) {
        MPITRAIN_TRY_VOID(background(count));
        MPITRAIN_TRY_VOID(clean([&, &behind = model] {
            std::error_code ignored;
            fs::remove_all(fmt::format("{}/step-{}", behind.directory, behind.step), ignored);
        }));
    }
    // For the load by more ranks; the bytes of the few are made to be those of all.
    if (is_of_few()) {
        few_model_.step = models_.at(1).step - 1;
        MPITRAIN_TRY_VOID(load(models_.at(1), few_model_.tensors, *few_model_.checkpoints));
        MPITRAIN_TRY_VOID(save(few_model_, back()));
    }
    cases = reads();
    std::shuffle(cases.begin(), cases.end(), random);
    for (const Case& one : cases) {
        MPITRAIN_TRY_VOID(clean([&] { evict(settings_.directory); }));
        MPITRAIN_TRY_VOID(run_case(one, is_for_few(one.name) ? few_ : team_));
        if (one.name.first.starts_with("load") && !is_for_few(one.name)) {
            MPITRAIN_TRY_VOID(check_back(models_.at(one.name.second).tensors));
        }
    }
    return clean([&] {
        std::error_code ignored;
        for (const auto* models : {&models_, &single_models_}) {
            for (const auto& [count, model] : *models) {
                fs::remove_all(fmt::format("{}/step-{}", model.directory, model.step), ignored);
            }
        }
        fs::remove_all(fmt::format("{}/step-{}", few_model_.directory, few_model_.step), ignored);
        for (int rank = 0; rank < team_.size(); ++rank) {
            fs::remove(plain_path("direct", rank), ignored);
        }
    });
}

Result<Samples> Bench::run() {
    MPITRAIN_TRY_VOID(open());
    for (int i = 0; i <= settings_.rounds; ++i) {
        MPITRAIN_TRY_VOID(round());
        dropped_ = true;
    }
    return std::move(samples_);
}

}  // namespace

Result<Samples> measure(const Team& team, const Settings& settings) {
    return Bench(team, settings).run();
}

}  // namespace mpitrain::checkpoint::bench
