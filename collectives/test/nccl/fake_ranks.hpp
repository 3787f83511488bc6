#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "nccl/fake_stream.hpp"
#include "nccl/nccl_backend.hpp"
#include "nccl/nccl_double.hpp"
#include "tree_reduce.hpp"

// Ranks on the double: threads with fake devices.
namespace mpitrain::collectives::testing {

// Memory that no fake device reaches.
inline std::array<float, 16> elsewhere{};

class FakeDevice final : public Device {
  public:
    [[nodiscard]] void* stream() const override { return stream_.get(); }
    Result<std::unique_ptr<Device>> another() const override {
        return std::unique_ptr<Device>(std::make_unique<FakeDevice>());
    }
    [[nodiscard]] Result<void> reaches(const void* memory) const override {
        return memory == &elsewhere ? Error(ErrorCode::invalid_argument, "is memory of the host")
                                    : Result<void>();
    }
    Result<std::byte*> allocate(std::size_t bytes) override {
        return std::make_unique<std::byte[]>(bytes).release();
    }
    void release(std::byte* memory) override { std::unique_ptr<std::byte[]>(memory).reset(); }
    Result<void> copy(void* to, const void* from, std::size_t bytes) override {
        stream_->enqueue([to, from, bytes] {
            std::memcpy(to, from, bytes);
            return true;
        });
        return {};
    }
    Result<void> zero(void* data, std::size_t bytes) override {
        stream_->enqueue([data, bytes] {
            std::memset(data, 0, bytes);
            return true;
        });
        return {};
    }
    Result<void> follow(void* other) override {
        auto* const stream = static_cast<FakeStream*>(other);
        stream_->enqueue([stream, reached = stream->enqueued] {
            stream->drain();
            return stream->done() >= reached;
        });
        return {};
    }
    Result<void> combine(
        const Pieces& pieces, std::size_t count, DataType type, ReduceOp op, void* out) override {
        stream_->enqueue([pieces, count, type, op, out] {
            std::vector<const void*> each;
            for (int r = 0; r < pieces.ranks; ++r) {
                each.push_back(pieces.received + static_cast<std::size_t>(r) * pieces.stride);
            }
            each[static_cast<std::size_t>(pieces.own)] = pieces.own_data;
            reduce_tree(each, count, type, op, out);
            return true;
        });
        return {};
    }
    Result<bool> idle() override { return stream_->drain(); }

  private:
    std::unique_ptr<FakeStream> stream_ = std::make_unique<FakeStream>();
};

inline std::shared_ptr<const NcclApi> double_api() {
    auto api = NcclApi::open(MPITRAIN_NCCL_DOUBLE);
    EXPECT_TRUE(api) << api.error().text();
    return *api;
}

inline Result<Communicator> join(const ncclUniqueId& id,
                                 int rank,
                                 int size,
                                 const CommunicatorOptions& options) {
    MPITRAIN_TRY(auto backend,
                 NcclBackend::open(
                     double_api(), std::make_unique<FakeDevice>(), {&id, 1}, rank, size, options));
    return Communicator(std::move(backend));
}

inline ncclUniqueId new_id() {
    ncclUniqueId id{};
    EXPECT_EQ(ncclGetUniqueId(&id), ncclSuccess);
    return id;
}

// Runs `body` as `size` ranks, each a thread of its own.
inline void with_ranks(int size,
                       const CommunicatorOptions& options,
                       const std::function<void(Communicator&)>& body) {
    const ncclUniqueId id = new_id();
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < size; ++rank) {
        threads.emplace_back([&, rank] {
            auto comm = join(id, rank, size, options);
            ASSERT_TRUE(comm) << comm.error().text();
            body(*comm);
        });
    }
}

}  // namespace mpitrain::collectives::testing
