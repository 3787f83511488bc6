#pragma once

#include <nccl.h>

#include <memory>
#include <optional>
#include <string_view>

#include "backend.hpp"
#include "nccl/device.hpp"
#include "nccl/nccl_api.hpp"
#include "tree_collectives.hpp"

namespace mpitrain::collectives {

// Collectives on device memory over NCCL, with a non-blocking NCCL communicator: no call of NCCL
// waits for a peer, all waiting is here, by polling with a deadline. On an error of any kind the
// communicator is aborted, which ends the kernels that still wait for the lost peer.
class NcclBackend final : public Backend, public Transport {
  public:
    // Joins the `size` ranks that were given the same id. Collective. Owns `device`.
    static Result<std::unique_ptr<NcclBackend>> open(std::shared_ptr<const NcclApi> api,
                                                     std::unique_ptr<Device> device,
                                                     const ncclUniqueId& id,
                                                     int rank,
                                                     int size,
                                                     const CommunicatorOptions& options);
    NcclBackend(std::shared_ptr<const NcclApi> api,
                std::unique_ptr<Device> device,
                int rank,
                int size,
                const CommunicatorOptions& options);
    NcclBackend(const NcclBackend&) = delete;
    NcclBackend& operator=(const NcclBackend&) = delete;
    ~NcclBackend() override;

    [[nodiscard]] void* stream() const { return device_->stream(); }
    [[nodiscard]] BackendKind kind() const override { return BackendKind::nccl; }
    [[nodiscard]] int rank() const override { return rank_; }
    [[nodiscard]] int size() const override { return size_; }
    [[nodiscard]] Result<void> usable() const override;

    Result<void> broadcast(Buffer data, int root) override;
    Result<void> allreduce(ConstBuffer send, Buffer recv, ReduceOp op) override;
    Result<void> reduce(ConstBuffer send, Buffer recv, ReduceOp op, int root) override;
    Result<void> reduce_scatter(ConstBuffer send, Buffer recv, ReduceOp op) override;
    Result<void> allgather(ConstBuffer send, Buffer recv) override;
    Result<void> all_to_all(ConstBuffer send, Buffer recv) override;
    Result<void> send_recv(ConstBuffer data, int to, Buffer into, int from) override;
    Result<void> barrier() override;
    Result<void> synchronize() override;
    Result<std::unique_ptr<Backend>> split(std::optional<int> color, int key) override;
    void abort() override;

    Result<void> transfer(std::span<const Outgoing> outgoing,
                          std::span<const Incoming> incoming,
                          std::string_view call) override;
    Result<void> combine(
        const Pieces& pieces, std::size_t count, DataType type, ReduceOp op, void* out) override;
    Result<void> copy(void* to, const void* from, std::size_t bytes) override;
    Result<std::byte*> scratch(std::size_t bytes) override;

  private:
    // The result of an NCCL call; waits where NCCL goes on in the background.
    Result<void> settle(ncclResult_t result, std::string_view call);
    // Polls until done(state of `comm`) says so; ends on an asynchronous error of NCCL.
    template <typename Done>
    Result<void> poll(ncclComm_t comm, const Done& done, std::string_view call);
    // A failure of the device is the end as well: what was enqueued behind it never ran.
    Result<void> on_device(Result<void> done);
    Error died(Error why);
    [[nodiscard]] cudaStream_t cuda_stream() const {
        return static_cast<cudaStream_t>(device_->stream());
    }

    std::shared_ptr<const NcclApi> api_;
    std::unique_ptr<Device> device_;
    int rank_;
    int size_;
    CommunicatorOptions options_;
    ncclComm_t comm_ = nullptr;
    std::optional<Error> death_;
    std::byte* scratch_ = nullptr;
    std::size_t scratch_bytes_ = 0;
    TreeCollectives tree_;
};

}  // namespace mpitrain::collectives
