#include "mpitrain/checkpoint.h"

#include <fmt/format.h>
#include <mpi.h>

#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "mpitrain/checkpoint/checkpointer.hpp"
#include "mpitrain/checkpoint/cuda_memory.hpp"
#include "mpitrain/checkpoint/mpi_peers.hpp"

// The members' order is that of construction: the checkpointer uses the peers to its end.
struct mpitrain_checkpointer {
    std::unique_ptr<mpitrain::checkpoint::Peers> peers;
    std::unique_ptr<mpitrain::checkpoint::DeviceMemory> device;
    std::unique_ptr<mpitrain::checkpoint::Checkpointer> checkpoints;
};

namespace mpitrain::checkpoint {
namespace {

using Json = nlohmann::json;

void give(char** answer, const Json& json) {
    const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    *answer = static_cast<char*>(std::malloc(text.size() + 1));
    if (*answer != nullptr) {
        std::memcpy(*answer, text.c_str(), text.size() + 1);
    }
}

int fail(char** answer, const Error& error) {
    give(answer, {{"error", error.text()}, {"code", std::string(to_string(error.code()))}});
    return static_cast<int>(error.code()) + 1;
}

// Runs `work`, which gives the answer. What JSON throws is the caller's mistake.
template <typename Work>
int guarded(char** answer, Work work) {
    try {
        const Result<Json> result = work();
        if (!result) {
            return fail(answer, result.error());
        }
        give(answer, *result);
        return 0;
    } catch (const std::exception& bad) {
        return fail(answer, Error(ErrorCode::invalid_argument, bad.what()));
    }
}

Result<TensorSpec> read_tensor(const Json& json) {
    TensorSpec spec{.name = json.at("name").get<std::string>(),
                    .dtype = DType::float32,
                    .shape = json.at("shape").get<std::vector<std::uint64_t>>(),
                    .block = {}};
    const auto dtype = dtype_from(json.at("dtype").get<std::string>());
    if (!dtype) {
        return Error(ErrorCode::invalid_argument, "unknown dtype")
            .at(fmt::format("tensor '{}'", spec.name));
    }
    spec.dtype = *dtype;
    if (json.contains("offset")) {
        spec.block = {json.at("offset").get<std::vector<std::uint64_t>>(),
                      json.at("extent").get<std::vector<std::uint64_t>>()};
    }
    return spec;
}

Attributes read_attributes(const Json& json) {
    Attributes attributes;
    for (const auto& [name, value] : json.items()) {
        if (value.is_boolean()) {
            attributes[name] = value.get<bool>();
        } else if (value.is_number_integer()) {
            attributes[name] = value.get<std::int64_t>();
        } else if (value.is_number()) {
            attributes[name] = value.get<double>();
        } else {
            attributes[name] = value.get<std::string>();
        }
    }
    return attributes;
}

Json to_json(const Attributes& attributes) {
    Json json = Json::object();
    for (const auto& [name, value] : attributes) {
        std::visit([&, &key = name](const auto& held) { json[key] = held; }, value);
    }
    return json;
}

Json to_json(const Commit& commit) {
    return {{"step", commit.step},
            {"path", commit.path},
            {"bytes", commit.size_bytes},
            {"warnings", commit.warnings}};
}

Json to_json(const Restored& restored) {
    Json blobs = Json::array();
    for (const RestoredBlob& blob : restored.blobs) {
        std::string hex;
        hex.reserve(2 * blob.bytes.size());
        for (const std::byte byte : blob.bytes) {
            hex += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
        }
        blobs.push_back({{"name", blob.name},
                         {"rank", blob.rank ? Json(*blob.rank) : Json()},
                         {"hex", std::move(hex)}});
    }
    return {{"step", restored.step},
            {"path", restored.path},
            {"world_size", restored.world_size},
            {"attributes", to_json(restored.attributes)},
            {"blobs", std::move(blobs)},
            {"warnings", restored.warnings}};
}

Result<Layout> read_layout(const std::string& name) {
    if (name == "single") {
        return Layout::single;
    }
    if (name == "per_rank") {
        return Layout::per_rank;
    }
    return Error(ErrorCode::invalid_argument, fmt::format("unknown layout '{}'", name))
        .mend("it is per_rank or single");
}

Result<Options> read_options(const Json& json) {
    Options options;
    MPITRAIN_TRY(options.layout, read_layout(json.value("layout", "per_rank")));
    options.directory = json.at("directory").get<std::string>();
    options.model = json.value("model", options.model);
    options.keep_last = json.value("keep_last", options.keep_last);
    options.keep_every = json.value("keep_every", options.keep_every);
    options.keep_interval =
        std::chrono::seconds(json.value("keep_interval_s", options.keep_interval.count()));
    options.deadline =
        std::chrono::milliseconds(json.value("deadline_ms", options.deadline.count()));
    options.hdf5_view = json.value("hdf5_view", options.hdf5_view);
    options.async_bytes_per_second =
        json.value("async_bytes_per_second", options.async_bytes_per_second);
    options.local_directory = json.value("local_directory", options.local_directory);
    options.partner_copies = json.value("partner_copies", options.partner_copies);
    return options;
}

// Whether MPI was initialised here, and so is to be ended here.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): as global as MPI itself
bool began_mpi = false;

Result<std::unique_ptr<Peers>> make_peers(bool with_mpi) {
    if (!with_mpi) {
        return single_peer();
    }
    int initialized = 0;
    MPI_Initialized(&initialized);
    int provided = 0;
    if (initialized == 0) {
        if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
            return Error(ErrorCode::unavailable, "MPI cannot be initialised");
        }
        began_mpi = true;
    }
    return mpi_peers(MPI_COMM_WORLD);
}

Result<Json> open(const char* text, mpitrain_checkpointer** out) {
    const Json json = Json::parse(text);
    auto self = std::make_unique<mpitrain_checkpointer>();
    MPITRAIN_TRY(Options options, read_options(json));
    if (json.contains("cuda_device")) {
        MPITRAIN_TRY(self->device, open_cuda_memory(json.at("cuda_device").get<int>()));
        options.device = self->device.get();
    }
    MPITRAIN_TRY(self->peers, make_peers(json.value("mpi", false)));
    MPITRAIN_TRY(self->checkpoints, Checkpointer::open(std::move(options), *self->peers));
    *out = self.release();
    return Json::object();
}

Result<Json> save(Checkpointer& checkpoints,
                  std::uint64_t step,
                  const Json& what,
                  const void* const* tensors,
                  const void* const* blobs,
                  bool behind) {
    std::vector<SaveTensor> from;
    for (const Json& tensor : what.at("tensors")) {
        MPITRAIN_TRY(TensorSpec spec, read_tensor(tensor));
        from.push_back({std::move(spec), tensors[from.size()], tensor.value("device", false)});
    }
    SaveExtras extras{.attributes = read_attributes(what.value("attributes", Json::object())),
                      .blobs = {},
                      .time_left = {}};
    for (const Json& blob : what.value("blobs", Json::array())) {
        const auto* bytes = static_cast<const std::byte*>(blobs[extras.blobs.size()]);
        extras.blobs.push_back(
            {.name = blob.at("name").get<std::string>(),
             .bytes = std::vector<std::byte>(bytes, bytes + blob.at("bytes").get<std::size_t>()),
             .scope = blob.value("global", false) ? Blob::Scope::global : Blob::Scope::every_rank});
    }
    if (what.contains("time_left_ms")) {
        extras.time_left = std::chrono::milliseconds(what.at("time_left_ms").get<std::int64_t>());
    }
    if (behind) {
        MPITRAIN_TRY(const bool started, checkpoints.save_async(step, from, extras));
        return Json{{"started", started}};
    }
    MPITRAIN_TRY(const Commit commit, checkpoints.save(step, from, extras));
    return to_json(commit);
}

Result<Json> load(Checkpointer& checkpoints,
                  const char* path,
                  const Json& tensors,
                  void* const* targets) {
    std::vector<LoadTensor> into;
    for (const Json& tensor : tensors) {
        MPITRAIN_TRY(TensorSpec spec, read_tensor(tensor));
        into.push_back({std::move(spec), targets[into.size()], tensor.value("device", false)});
    }
    if (path != nullptr) {
        MPITRAIN_TRY(const Restored restored, checkpoints.load(path, into));
        return to_json(restored);
    }
    MPITRAIN_TRY(const auto restored, checkpoints.load_latest(into));
    return restored ? to_json(*restored) : Json();
}

}  // namespace
}  // namespace mpitrain::checkpoint

namespace checkpoint = mpitrain::checkpoint;
using checkpoint::Json;
using mpitrain::Result;

int mpitrain_checkpointer_open(const char* options, mpitrain_checkpointer** out, char** answer) {
    return checkpoint::guarded(answer, [&] { return checkpoint::open(options, out); });
}

void mpitrain_checkpointer_close(mpitrain_checkpointer* self) {
    if (self != nullptr) {
        self->checkpoints.reset();
        delete self;
    }
}

int mpitrain_checkpointer_world(mpitrain_checkpointer* self, char** answer) {
    return checkpoint::guarded(answer, [&]() -> Result<Json> {
        return Json{{"rank", self->peers->rank()}, {"size", self->peers->size()}};
    });
}

// NOLINTNEXTLINE(readability-function-size): as C callers give it
int mpitrain_checkpointer_save(mpitrain_checkpointer* self,
                               uint64_t step,
                               const char* what,
                               const void* const* tensors,
                               const void* const* blobs,
                               int behind,
                               char** answer) {
    return checkpoint::guarded(answer, [&] {
        return checkpoint::save(
            *self->checkpoints, step, Json::parse(what), tensors, blobs, behind != 0);
    });
}

int mpitrain_checkpointer_poll(mpitrain_checkpointer* self, char** answer) {
    return checkpoint::guarded(answer, [&]() -> Result<Json> {
        const auto outcome = self->checkpoints->poll();
        if (!outcome) {
            return Json();
        }
        MPITRAIN_TRY(const checkpoint::Commit commit, *outcome);
        return checkpoint::to_json(commit);
    });
}

int mpitrain_checkpointer_wait(mpitrain_checkpointer* self, uint64_t deadline_ms, char** answer) {
    return checkpoint::guarded(answer, [&]() -> Result<Json> {
        MPITRAIN_TRY_VOID(self->checkpoints->wait(std::chrono::milliseconds(deadline_ms)));
        return Json::object();
    });
}

int mpitrain_checkpointer_load(mpitrain_checkpointer* self,
                               const char* path,
                               const char* tensors,
                               void* const* targets,
                               char** answer) {
    return checkpoint::guarded(answer, [&] {
        return checkpoint::load(*self->checkpoints, path, Json::parse(tensors), targets);
    });
}

void mpitrain_checkpoint_end(void) {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (mpitrain::checkpoint::began_mpi && finalized == 0) {
        MPI_Finalize();
    }
}

void mpitrain_checkpoint_free(char* answer) {
    std::free(answer);
}
