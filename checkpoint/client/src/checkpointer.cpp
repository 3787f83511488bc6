#include "mpitrain/checkpoint/checkpointer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <random>
#include <utility>

#include "mpitrain/base/number.hpp"
#include "mpitrain/checkpoint/hdf5_container.hpp"
#include "mpitrain/checkpoint/loader.hpp"
#include "mpitrain/checkpoint/saver.hpp"
#include "mpitrain/checkpoint/tiers.hpp"
#include "mpitrain/posix/file_system.hpp"

namespace mpitrain::checkpoint {
namespace {

std::string environment(const char* name) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread of ours changes the environment
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

// 96 random bits: no two commits anywhere share a name.
std::string fresh_token() {
    std::random_device device;
    return fmt::format("{:08x}{:08x}{:08x}", device(), device(), device());
}

// Makes the directory and those above it. Only the last one's parent need be durable before a
// commit, which syncs the directory it lies in, so each new name is synced here.
Result<void> make_directories(FileSystem& files, const std::string& path) {
    const auto status = files.status(path);
    if (status) {
        if (status->kind != FileKind::directory) {
            return Error(ErrorCode::invalid_argument, "this is not a directory").at(path);
        }
        return {};
    }
    if (status.error().code() != ErrorCode::not_found) {
        return Error(status.error());
    }
    const std::string parent = parent_path(path);
    if (parent != path) {
        MPITRAIN_TRY_VOID(make_directories(files, parent));
    }
    auto made = files.make_directory(path);
    if (!made && made.error().code() != ErrorCode::already_exists) {
        return made;
    }
    return files.sync_directory(parent);
}

class PosixCheckpointer final : public Checkpointer {
  public:
    PosixCheckpointer(Options options, Peers& peers, std::string job, std::uint64_t attempt)
        : files_(posix::make_file_system()),
          container_(make_hdf5_container()),
          world_{*files_,
                 *container_,
                 peers,
                 staging_,
                 [] { return std::chrono::system_clock::now(); },
                 fresh_token,
                 this_process(std::move(job), attempt),
                 is_known_dead},
          options_{std::move(options.directory),
                   std::move(options.model),
                   {options.keep_last, options.keep_every, options.keep_interval},
                   options.deadline,
                   options.hdf5_view,
                   options.layout,
                   options.device,
                   options.async_bytes_per_second},
          local_directory_(std::move(options.local_directory)) {
        if (local_directory_.empty()) {
            saver_ = make_saver(world_, options_);
            return;
        }
        auto tiered = make_tiered_store(world_,
                                        options_,
                                        {.local_directory = local_directory_,
                                         .partner_copies = options.partner_copies,
                                         .drain_bytes_per_second = options.async_bytes_per_second});
        tiered_ = tiered.get();
        saver_ = std::move(tiered);
    }
    PosixCheckpointer(const PosixCheckpointer&) = delete;
    PosixCheckpointer& operator=(const PosixCheckpointer&) = delete;
    // A lease that cannot be given back is taken over from the dead process.
    ~PosixCheckpointer() override {
        if (pinned_) {
            options_.device->unpin(staging_.whole());
        }
        constexpr std::chrono::milliseconds patience = std::chrono::minutes(1);
        if (saver_->settle(std::min(options_.deadline, patience))) {
            static_cast<void>(saver_->release());
        }
    }

    // Each rank, for each may be on another machine; on a shared one, all but one find it there.
    Result<void> prepare() {
        // Refused, copies to and from the device are slower and no less right.
        pinned_ = options_.device != nullptr && options_.device->pin(staging_.whole());
        MPITRAIN_TRY_VOID(make_directories(*files_, options_.directory));
        return local_directory_.empty() ? Result<void>()
                                        : make_directories(*files_, local_directory_);
    }

    Result<Commit> save(std::uint64_t step,
                        std::span<const SaveTensor> tensors,
                        const SaveExtras& extras) override {
        MPITRAIN_TRY(const SaveInput input, input_of(step, tensors, extras));
        MPITRAIN_TRY(Committed committed, saver_->save(input));
        return commit_of(std::move(committed));
    }

    Result<bool> save_async(std::uint64_t step,
                            std::span<const SaveTensor> tensors,
                            const SaveExtras& extras) override {
        MPITRAIN_TRY(const SaveInput input, input_of(step, tensors, extras));
        return saver_->start(input);
    }

    std::optional<Result<Commit>> poll() override {
        auto outcome = saver_->poll();
        if (!outcome) {
            return std::nullopt;
        }
        return *outcome ? Result<Commit>(commit_of(**std::move(outcome)))
                        : Result<Commit>(outcome->error());
    }

    Result<void> wait(std::chrono::milliseconds deadline) override {
        return saver_->settle(deadline);
    }

    [[nodiscard]] std::optional<std::chrono::milliseconds> estimate(
        std::span<const SaveTensor> tensors, const SaveExtras& extras) const override {
        return saver_->estimate(contribution_of(tensors, extras));
    }

    Result<std::optional<Restored>> load_latest(std::span<const LoadTensor> tensors) override {
        MPITRAIN_TRY_VOID(saver_->settle(options_.deadline));
        MPITRAIN_TRY_VOID(check_device(tensors));
        const Wanted wanted(tensors);
        MPITRAIN_TRY(auto loaded,
                     tiered_ != nullptr
                         ? tiered_->load_newest(wanted.specs, wanted.targets)
                         : load_newest(world_, options_, wanted.specs, targets_of(wanted)));
        if (!loaded) {
            return std::optional<Restored>();
        }
        return restored_from(*std::move(loaded));
    }

    Result<Restored> load(const std::string& path, std::span<const LoadTensor> tensors) override {
        MPITRAIN_TRY_VOID(saver_->settle(options_.deadline));
        MPITRAIN_TRY_VOID(check_device(tensors));
        const Wanted wanted(tensors);
        MPITRAIN_TRY(Loaded loaded,
                     load_commit(world_, options_, path, wanted.specs, targets_of(wanted)));
        return restored_from(std::move(loaded));
    }

  private:
    struct Wanted {
        explicit Wanted(std::span<const LoadTensor> tensors) {
            for (const LoadTensor& tensor : tensors) {
                specs.push_back(tensor.spec);
                targets.push_back(static_cast<std::byte*>(tensor.data));
            }
            on_device = flags_of(tensors);
        }
        std::vector<TensorSpec> specs;
        std::vector<std::byte*> targets;
        std::vector<std::uint8_t> on_device;
    };

    [[nodiscard]] Targets targets_of(const Wanted& wanted) const {
        return {.memory = wanted.targets,
                .on_device = wanted.on_device,
                .device = wanted.on_device.empty() ? nullptr : options_.device};
    }

    // Which of them are on the device; empty when none is.
    template <typename Tensors>
    static std::vector<std::uint8_t> flags_of(const Tensors& tensors) {
        std::vector<std::uint8_t> flags;
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            if (tensors[i].on_device) {
                flags.resize(tensors.size());
                flags[i] = 1;
            }
        }
        return flags;
    }

    template <typename Tensors>
    [[nodiscard]] Result<void> check_device(const Tensors& tensors) const {
        for (const auto& tensor : tensors) {
            if (tensor.on_device && options_.device == nullptr) {
                return Error(ErrorCode::invalid_argument, "it is said to be on a device")
                    .at(fmt::format("tensor '{}'", tensor.spec.name))
                    .mend("open the checkpointer with that device");
            }
        }
        return {};
    }

    static BlobSpec spec_of(const Blob& blob) {
        return {blob.name, blob.scope == Blob::Scope::global, blob.bytes.size()};
    }

    static Contribution contribution_of(std::span<const SaveTensor> tensors,
                                        const SaveExtras& extras) {
        Contribution contribution;
        for (const SaveTensor& tensor : tensors) {
            contribution.tensors.push_back(tensor.spec);
        }
        for (const Blob& blob : extras.blobs) {
            contribution.blobs.push_back(spec_of(blob));
        }
        return contribution;
    }

    // Whether a save brings just what the one before brought. Comparing thousands of descriptions
    // is cheap, copying them is not.
    [[nodiscard]] bool is_as_before(std::span<const SaveTensor> tensors,
                                    const SaveExtras& extras) const {
        return contribution_ &&
               std::equal(tensors.begin(),
                          tensors.end(),
                          contribution_->tensors.begin(),
                          contribution_->tensors.end(),
                          [](const SaveTensor& a, const TensorSpec& b) { return a.spec == b; }) &&
               std::equal(extras.blobs.begin(),
                          extras.blobs.end(),
                          contribution_->blobs.begin(),
                          contribution_->blobs.end(),
                          [](const Blob& a, const BlobSpec& b) { return spec_of(a) == b; });
    }

    Result<SaveInput> input_of(std::uint64_t step,
                               std::span<const SaveTensor> tensors,
                               const SaveExtras& extras) {
        MPITRAIN_TRY_VOID(check_device(tensors));
        if (!is_as_before(tensors, extras)) {
            contribution_ = std::make_shared<Contribution>(contribution_of(tensors, extras));
        }
        SaveInput input{.step = step,
                        .contribution = contribution_,
                        .tensors = {},
                        .blobs = {},
                        .attributes = extras.attributes,
                        .time_left = extras.time_left,
                        .on_device = flags_of(tensors)};
        for (const SaveTensor& tensor : tensors) {
            input.tensors.push_back(static_cast<const std::byte*>(tensor.data));
        }
        for (const Blob& blob : extras.blobs) {
            input.blobs.push_back(blob.bytes.data());
        }
        return input;
    }

    static Commit commit_of(Committed committed) {
        return {committed.step,
                std::move(committed.path),
                committed.size_bytes,
                std::move(committed.warnings)};
    }

    static Restored restored_from(Loaded loaded) {
        Restored restored{.step = loaded.manifest.step,
                          .path = std::move(loaded.path),
                          .world_size = loaded.manifest.world_size,
                          .attributes = std::move(loaded.manifest.attributes),
                          .blobs = {},
                          .warnings = std::move(loaded.warnings)};
        for (std::size_t i = 0; i < loaded.blobs.size(); ++i) {
            StoredBlob& stored = loaded.manifest.blobs[i];
            restored.blobs.push_back(
                {std::move(stored.name), stored.rank, std::move(loaded.blobs[i])});
        }
        return restored;
    }

    std::unique_ptr<FileSystem> files_;
    std::unique_ptr<Container> container_;
    Staging staging_;
    Surroundings world_;
    StoreOptions options_;
    std::string local_directory_;  // empty: one level
    std::unique_ptr<Saver> saver_;
    TieredStore* tiered_ = nullptr;                     // the saver, where there are two levels
    std::shared_ptr<const Contribution> contribution_;  // of the last save
    bool pinned_ = false;                               // the staging area, by the device
};

}  // namespace

const std::vector<std::byte>* Restored::blob(std::string_view name, std::optional<int> rank) const {
    const auto at = std::find_if(blobs.begin(), blobs.end(), [&](const RestoredBlob& blob) {
        return blob.name == name && blob.rank == rank;
    });
    return at == blobs.end() ? nullptr : &at->bytes;
}

Result<std::unique_ptr<Checkpointer>> Checkpointer::open(Options options, Peers& peers) {
    if (options.directory.empty()) {
        return Error(ErrorCode::invalid_argument, "no checkpoint directory is given");
    }
    if (!options.local_directory.empty() &&
        (options.layout == Layout::single || options.device != nullptr)) {
        return Error(ErrorCode::unsupported,
                     options.device != nullptr
                         ? "with a local directory, a GPU's memory is not read"
                         : "with a local directory, each rank has its file")
            .mend("leave the local directory out, or the other");
    }
    std::uint64_t attempt = 0;
    if (const std::string text = environment("MPITRAIN_ATTEMPT"); !text.empty()) {
        const auto parsed = parse_integer(text, 0, INT64_MAX);
        if (!parsed) {
            return Error(parsed.error()).at("MPITRAIN_ATTEMPT");
        }
        attempt = static_cast<std::uint64_t>(*parsed);
    }
    auto checkpointer = std::make_unique<PosixCheckpointer>(
        std::move(options), peers, environment("MPITRAIN_JOB_ID"), attempt);
    MPITRAIN_TRY_VOID(checkpointer->prepare());
    return checkpointer;
}

}  // namespace mpitrain::checkpoint
