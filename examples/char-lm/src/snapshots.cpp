#include "snapshots.hpp"

#include <fmt/format.h>

#include <vector>

#include "mpitrain/checkpoint/mpi_peers.hpp"
#include "mpitrain/collectives/mpi_interop.hpp"

namespace char_lm {

using mpitrain::Error;
using mpitrain::ErrorCode;
using mpitrain::Result;
namespace checkpoint = mpitrain::checkpoint;

namespace {

// Calls visit(name, rows, columns, data) for everything a checkpoint keeps as a tensor.
template <typename Visit>
void each_tensor(Learner& learner, const Visit& visit) {
    for (const Tensor& tensor : learner.model().tensors()) {
        visit(tensor.name, tensor, learner.model().parameters().data());
        visit("adam.mean." + tensor.name, tensor, learner.adam().mean().data());
        visit("adam.square." + tensor.name, tensor, learner.adam().square().data());
    }
}

}  // namespace

Result<Snapshots> Snapshots::open(const std::string& directory,
                                  const Corpus& corpus,
                                  const Options& options,
                                  mpitrain::collectives::Communicator& ranks) {
    Snapshots snapshots;
    MPITRAIN_TRY(const auto comm, mpitrain::collectives::native_mpi(ranks));
    MPITRAIN_TRY(snapshots.peers_, checkpoint::mpi_peers(comm));
    // Names all that decides whether a state makes sense here: another text or shape is refused.
    const std::string model =
        fmt::format("char-lm hidden {} text {:016x}", options.hidden, corpus.fingerprint());
    MPITRAIN_TRY(snapshots.checkpoints_,
                 checkpoint::Checkpointer::open({.directory = directory, .model = model},
                                                *snapshots.peers_));
    return snapshots;
}

Result<void> Snapshots::save(Trainer& trainer) {
    if (last_step_ == trainer.step()) {
        return {};
    }
    MPITRAIN_TRY_VOID(trainer.learner().fetch());
    std::vector<checkpoint::SaveTensor> tensors;
    each_tensor(trainer.learner(), [&](std::string name, const Tensor& tensor, const float* all) {
        tensors.push_back(checkpoint::save_from(
            std::move(name), {tensor.rows, tensor.columns}, all + tensor.offset));
    });
    const auto cursor = static_cast<std::int64_t>(trainer.cursor());
    const checkpoint::SaveExtras extras{.attributes = {{"cursor", cursor}}, .blobs = {}};
    auto commit = checkpoints_->save(trainer.step(), tensors, extras);
    if (!commit) {
        return std::move(commit).error();
    }
    last_step_ = trainer.step();
    return {};
}

Result<std::optional<std::uint64_t>> Snapshots::restore(Trainer& trainer,
                                                        const std::optional<std::string>& path) {
    std::vector<checkpoint::LoadTensor> tensors;
    each_tensor(trainer.learner(), [&](std::string name, const Tensor& tensor, float* all) {
        tensors.push_back(checkpoint::load_into(
            std::move(name), {tensor.rows, tensor.columns}, all + tensor.offset));
    });
    std::optional<checkpoint::Restored> restored;
    if (path) {
        MPITRAIN_TRY(restored, checkpoints_->load(*path, tensors));
    } else {
        MPITRAIN_TRY(restored, checkpoints_->load_latest(tensors));
    }
    if (!restored) {
        return std::optional<std::uint64_t>();
    }
    const auto cursor = restored->attributes.find("cursor");
    if (cursor == restored->attributes.end() ||
        !std::holds_alternative<std::int64_t>(cursor->second)) {
        return Error(ErrorCode::data_loss, "the checkpoint does not say how far the text was read")
            .at(restored->path)
            .mend("it was written by another program; start in an empty directory");
    }
    MPITRAIN_TRY_VOID(trainer.learner().place());
    trainer.resume_at(restored->step,
                      static_cast<std::uint64_t>(std::get<std::int64_t>(cursor->second)));
    last_step_ = restored->step;
    return std::optional<std::uint64_t>(restored->step);
}

}  // namespace char_lm
