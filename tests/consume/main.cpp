// Sums over the ranks, keeps the sum in a checkpoint, and reads it back: one call of each installed
// library that must link and work.
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <vector>

#include "mpitrain/checkpoint/checkpointer.hpp"
#include "mpitrain/checkpoint/mpi_peers.hpp"
#include "mpitrain/client.hpp"
#include "mpitrain/collectives/communicator.hpp"
#include "mpitrain/collectives/environment.hpp"

namespace {

using mpitrain::Result;

Result<std::vector<double>> train(const mpitrain::collectives::Environment& environment,
                                  const std::string& directory) {
    MPITRAIN_TRY(auto ranks, mpitrain::collectives::Communicator::world(environment));
    std::vector<double> sums = {1.0, static_cast<double>(ranks.rank())};
    MPITRAIN_TRY_VOID(ranks.allreduce(sums, mpitrain::collectives::ReduceOp::sum));
    mpitrain::client::progress(1, 1);

    MPITRAIN_TRY(const auto peers, mpitrain::checkpoint::mpi_peers(MPI_COMM_WORLD));
    MPITRAIN_TRY(const auto checkpoints,
                 mpitrain::checkpoint::Checkpointer::open({.directory = directory}, *peers));
    const std::vector saved = {mpitrain::checkpoint::save_from("sums", {sums.size()}, sums.data())};
    MPITRAIN_TRY(const auto commit, checkpoints->save(1, saved));
    std::vector<double> restored(sums.size());
    const std::vector loaded = {
        mpitrain::checkpoint::load_into("sums", {restored.size()}, restored.data())};
    MPITRAIN_TRY(const auto found, checkpoints->load(commit.path, loaded));
    if (found.step != 1 || restored != sums) {
        return mpitrain::Error(mpitrain::ErrorCode::data_loss,
                               "what was loaded is not what was saved");
    }
    return restored;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: consume DIRECTORY\n";
        return 2;
    }
    auto environment = mpitrain::collectives::Environment::open();
    if (!environment) {
        std::cerr << environment.error().text() << '\n';
        return 1;
    }
    const auto sums = train(*environment, argv[1]);
    if (!sums) {
        std::cerr << sums.error().text() << '\n';
        return 1;
    }
    std::cout << "sums " << (*sums)[0] << ' ' << (*sums)[1] << '\n';
    return environment->close() ? 0 : 1;
}
