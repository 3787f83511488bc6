// The memory of a GradientReducer on a GPU.
#include <utility>

#include "nccl/nccl_backend.hpp"
#include "reducer/memory.hpp"

namespace mpitrain::collectives {

namespace {

// Memory of a device for as long as this lives, growing as it is asked for more.
class DeviceBlock {
  public:
    explicit DeviceBlock(NcclBackend& backend) : backend_(backend) {}
    DeviceBlock(const DeviceBlock&) = delete;
    DeviceBlock& operator=(const DeviceBlock&) = delete;
    ~DeviceBlock() { release(); }

    Result<std::byte*> at_least(std::size_t bytes) {
        if (bytes_ < bytes) {
            if (memory_ != nullptr) {
                MPITRAIN_TRY_VOID(backend_.synchronize());  // what was enqueued may still use it
            }
            release();
            MPITRAIN_TRY(memory_, backend_.device().allocate(bytes));
            bytes_ = bytes;
        }
        return memory_;
    }

  private:
    void release() {
        if (memory_ != nullptr) {
            backend_.device().release(std::exchange(memory_, nullptr));
        }
        bytes_ = 0;
    }
    NcclBackend& backend_;
    std::byte* memory_ = nullptr;
    std::size_t bytes_ = 0;
};

class DeviceMemory final : public ReducerMemory {
  public:
    DeviceMemory(NcclBackend& backend, void* compute_stream)
        : backend_(backend), compute_(compute_stream), scratch_(backend), flags_(backend) {}

    [[nodiscard]] bool is_asynchronous() const override { return true; }
    Result<void> follow_computation() override {
        return backend_.on_device(backend_.device().follow(compute_));
    }
    Result<void> copy(void* to, const void* from, std::size_t bytes) override {
        return bytes == 0 ? Result<void>() : backend_.copy(to, from, bytes);
    }
    Result<void> zero(void* data, std::size_t bytes) override {
        return bytes == 0 ? Result<void>()
                          : backend_.on_device(backend_.device().zero(data, bytes));
    }
    Result<std::byte*> scratch(std::size_t bytes) override { return scratch_.at_least(bytes); }
    Result<void> any_of(Communicator& ranks,
                        const std::vector<std::uint8_t>& mine,
                        std::vector<std::uint8_t>& any) override {
        MPITRAIN_TRY(std::byte* const flags, flags_.at_least(mine.size()));
        MPITRAIN_TRY_VOID(copy(flags, mine.data(), mine.size()));
        MPITRAIN_TRY_VOID(ranks.allreduce(Buffer(flags, mine.size(), DataType::u8), ReduceOp::max));
        MPITRAIN_TRY_VOID(copy(any.data(), flags, mine.size()));
        // From here on the host knows that all is done, so whatever it enqueues anywhere sees it.
        return ranks.synchronize();
    }

  private:
    NcclBackend& backend_;
    void* compute_;
    DeviceBlock scratch_;
    DeviceBlock flags_;
};

}  // namespace

Result<std::unique_ptr<ReducerMemory>> device_reducer_memory(Backend& backend,
                                                             void* compute_stream) {
    return std::unique_ptr<ReducerMemory>(
        std::make_unique<DeviceMemory>(static_cast<NcclBackend&>(backend), compute_stream));
}

}  // namespace mpitrain::collectives
