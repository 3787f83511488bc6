#pragma once

#include <nccl.h>

#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "backend.hpp"
#include "nccl/device.hpp"
#include "nccl/nccl_api.hpp"
#include "tree_collectives.hpp"

namespace mpitrain::collectives {

// Collectives on device memory over NCCL, with a non-blocking NCCL communicator: no call of NCCL
// waits for a peer, all waiting is here, by polling with a deadline. On an error of any kind the
// communicator is revoked, or aborted where NCCL cannot do that, which ends the kernels that still
// wait for the lost peer.
// How many ids the start of `ranks` ranks is spread over: one for each 256, beyond which NCCL makes
// ranks wait for their turn at an id's only server.
int ids_for(int ranks);
// The rank that mints the `index`-th of them; each is the first of an even share, as NCCL expects.
int minter_of(int index, int ids, int ranks);

class NcclBackend final : public Backend, public Transport {
  public:
    // Joins the `size` ranks that were given the same ids: one, or, where NCCL can spread its start
    // over several, as many as ids_for() says. Collective. Owns `device`.
    static Result<std::unique_ptr<NcclBackend>> open(std::shared_ptr<const NcclApi> api,
                                                     std::unique_ptr<Device> device,
                                                     std::span<const ncclUniqueId> ids,
                                                     int rank,
                                                     int size,
                                                     const CommunicatorOptions& options);
    // Joins ranks that call grow() with the same ticket.
    static Result<std::unique_ptr<NcclBackend>> join(std::shared_ptr<const NcclApi> api,
                                                     std::unique_ptr<Device> device,
                                                     const ncclUniqueId& ticket,
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
    [[nodiscard]] Device& device() { return *device_; }
    void set_deadline(Nanoseconds deadline) { options_.deadline = deadline; }
    // A failure of the device is the end as well: what was enqueued behind it never ran.
    Result<void> on_device(Result<void> done);
    [[nodiscard]] BackendKind kind() const override { return BackendKind::nccl; }
    [[nodiscard]] int rank() const override { return rank_; }
    [[nodiscard]] int size() const override { return size_; }
    [[nodiscard]] Result<void> usable() const override;
    [[nodiscard]] Result<void> reaches(const void* memory) const override {
        return device_->reaches(memory);
    }

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
    Result<std::unique_ptr<Backend>> shrink(std::span<const int> without) override;
    void abort() override;

    // What those that join need, of one rank; that rank then gives it to grow() too.
    Result<ncclUniqueId> grow_ticket();
    // This and `size` - size() ranks that join, which come after all of these. Collective over
    // all of them.
    Result<std::unique_ptr<NcclBackend>> grow(int size, const ncclUniqueId* ticket);

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
    Error died(Error why);
    // A communicator that NCCL makes beside this one: begin(&comm, &config) starts it.
    template <typename Begin>
    Result<std::unique_ptr<NcclBackend>> derive(std::string_view call, const Begin& begin);
    [[nodiscard]] cudaStream_t cuda_stream() const {
        return static_cast<cudaStream_t>(device_->stream());
    }

    std::shared_ptr<const NcclApi> api_;
    std::unique_ptr<Device> device_;
    int rank_;
    int size_;
    CommunicatorOptions options_;
    ncclComm_t comm_ = nullptr;
    bool opened_ = false;  // all ranks were there once
    std::optional<Error> death_;
    std::byte* scratch_ = nullptr;
    std::size_t scratch_bytes_ = 0;
    TreeCollectives tree_;
};

}  // namespace mpitrain::collectives
