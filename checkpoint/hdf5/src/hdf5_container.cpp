#include "mpitrain/checkpoint/hdf5_container.hpp"

#include <mutex>

#include "hdf5_call.hpp"
#include "shard_image.hpp"

namespace mpitrain::checkpoint {
namespace {

// One at a time in the process, and silent: errors come back as values.
class Locked {
  public:
    Locked() : guard_(mutex()) {
        H5Eget_auto2(H5E_DEFAULT, &print_, &print_data_);
        H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    }
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;
    ~Locked() { H5Eset_auto2(H5E_DEFAULT, print_, print_data_); }

  private:
    // The library's state is global, so its lock is.
    static std::mutex& mutex() {
        static std::mutex one;
        return one;
    }
    std::lock_guard<std::mutex> guard_;
    H5E_auto2_t print_ = nullptr;
    void* print_data_ = nullptr;
};

class Hdf5Container final : public Container {
  public:
    Result<ShardImage> shard(std::span<const DatasetPlan> datasets,
                             std::uint32_t block_bytes) override {
        const Locked locked;
        return hdf5::make_shard_image(datasets, block_bytes);
    }
    Result<ShardImage> shared_file(std::span<const DatasetPlan> datasets,
                                   std::uint32_t block_bytes,
                                   std::span<const ViewTensor> virtuals,
                                   const Attributes& attributes) override {
        const Locked locked;
        return hdf5::make_shared_image(datasets, block_bytes, virtuals, attributes);
    }
    Result<std::vector<std::byte>> view(std::span<const ViewTensor> tensors,
                                        const Attributes& attributes) override {
        const Locked locked;
        return hdf5::make_view(tensors, attributes);
    }
};

}  // namespace

std::unique_ptr<Container> make_hdf5_container() {
    return std::make_unique<Hdf5Container>();
}

}  // namespace mpitrain::checkpoint
