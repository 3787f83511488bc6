#include "mpitrain/collectives/communicator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "backend.hpp"
#include "mpitrain/recorder/operation_log.hpp"

namespace mpitrain::collectives {

namespace {

Error wrong(std::string_view call, std::string what) {
    return Error(ErrorCode::invalid_argument, std::move(what)).at(call);
}

Result<void> check_buffer(const Backend& backend,
                          std::string_view call,
                          std::string_view name,
                          ConstBuffer buffer) {
    if (buffer.data == nullptr && buffer.count > 0) {
        return wrong(call, fmt::format("{} is null but has {} elements", name, buffer.count));
    }
    if (buffer.count > std::numeric_limits<std::ptrdiff_t>::max() / size_bytes(buffer.type)) {
        return wrong(call,
                     fmt::format("{} elements in {} are beyond all memory", buffer.count, name));
    }
    if (buffer.count > 0) {
        if (auto reached = backend.reaches(buffer.data); !reached) {
            return std::move(reached).error().at(name).at(call);
        }
    }
    return {};
}

Result<void> check_rank(std::string_view call, std::string_view name, int rank, int size) {
    if (rank < 0 || rank >= size) {
        return wrong(call, fmt::format("{} is {}, not within 0 … {}", name, rank, size - 1));
    }
    return {};
}

// Sizes of a pair of buffers: send.count * parts_sent = recv.count * parts_received.
struct Ratio {
    std::size_t sent = 1;
    std::size_t received = 1;
};

Result<void> check_pair(
    const Backend& backend, std::string_view call, ConstBuffer send, Buffer recv, Ratio ratio) {
    MPITRAIN_TRY_VOID(check_buffer(backend, call, "send", send));
    MPITRAIN_TRY_VOID(check_buffer(backend, call, "recv", recv));
    if (send.type != recv.type) {
        return wrong(
            call,
            fmt::format("send holds {} but recv {}", to_string(send.type), to_string(recv.type)));
    }
    if (recv.count % ratio.received != 0 || send.count % ratio.sent != 0 ||
        send.count / ratio.sent != recv.count / ratio.received) {
        return wrong(
            call,
            fmt::format("send has {} elements and recv {}; {} parts of send must equal {} of recv",
                        send.count,
                        recv.count,
                        ratio.sent,
                        ratio.received));
    }
    return {};
}

bool overlap(ConstBuffer a, ConstBuffer b) {
    const auto* a_begin = static_cast<const std::byte*>(a.data);
    const auto* b_begin = static_cast<const std::byte*>(b.data);
    const std::less<> before;
    return before(a_begin, b_begin + b.bytes()) && before(b_begin, a_begin + a.bytes());
}

// `in_place` is where in `recv` send may lie; null where it may not.
Result<void> check_overlap(std::string_view call,
                           ConstBuffer send,
                           Buffer recv,
                           const void* in_place) {
    if (send.data != in_place && overlap(send, recv)) {
        return wrong(call, "send and recv overlap");
    }
    return {};
}

}  // namespace

Communicator::Communicator(std::unique_ptr<Backend> backend) : backend_(std::move(backend)) {}
Communicator::Communicator(Communicator&&) noexcept = default;
Communicator& Communicator::operator=(Communicator&&) noexcept = default;
Communicator::~Communicator() = default;

int Communicator::rank() const {
    return backend_->rank();
}
int Communicator::size() const {
    return backend_->size();
}
BackendKind Communicator::backend() const {
    return backend_->kind();
}

recorder::Operation Communicator::next_operation(recorder::OperationKind kind,
                                                 ConstBuffer data,
                                                 std::optional<ReduceOp> op,
                                                 int root) {
    const auto type = static_cast<std::uint32_t>(data.type);
    const std::uint32_t shape = type << 8U | (op ? static_cast<std::uint32_t>(*op) + 1 : 0);
    return {.group = backend_->group(),
            .number = ++operations_,
            .bytes = data.bytes(),
            .kind = kind,
            .shape = shape,
            .root = root,
            .ranks = static_cast<std::uint32_t>(size())};
}

Result<void> Communicator::broadcast(Buffer data, int root) {
    MPITRAIN_TRY_VOID(backend_->usable());
    MPITRAIN_TRY_VOID(check_buffer(*backend_, "broadcast", "data", data));
    MPITRAIN_TRY_VOID(check_rank("broadcast", "root", root, size()));
    const recorder::RecordedOperation recorded(
        recorder::OperationLog::of_this_process(),
        next_operation(recorder::OperationKind::broadcast, data, std::nullopt, root));
    return data.count == 0 ? Result<void>() : backend_->broadcast(data, root);
}

Result<void> Communicator::allreduce(ConstBuffer send, Buffer recv, ReduceOp op) {
    MPITRAIN_TRY_VOID(backend_->usable());
    MPITRAIN_TRY_VOID(check_pair(*backend_, "allreduce", send, recv, {}));
    MPITRAIN_TRY_VOID(check_overlap("allreduce", send, recv, recv.data));
    const recorder::RecordedOperation recorded(
        recorder::OperationLog::of_this_process(),
        next_operation(recorder::OperationKind::allreduce, send, op));
    return send.count == 0 ? Result<void>() : backend_->allreduce(send, recv, op);
}

Result<void> Communicator::reduce(ConstBuffer send, Buffer recv, ReduceOp op, int root) {
    MPITRAIN_TRY_VOID(backend_->usable());
    MPITRAIN_TRY_VOID(check_rank("reduce", "root", root, size()));
    MPITRAIN_TRY_VOID(check_buffer(*backend_, "reduce", "send", send));
    if (rank() == root) {
        MPITRAIN_TRY_VOID(check_pair(*backend_, "reduce", send, recv, {}));
        MPITRAIN_TRY_VOID(check_overlap("reduce", send, recv, recv.data));
    }
    const recorder::RecordedOperation recorded(
        recorder::OperationLog::of_this_process(),
        next_operation(recorder::OperationKind::reduce, send, op, root));
    return send.count == 0 ? Result<void>() : backend_->reduce(send, recv, op, root);
}

Result<void> Communicator::reduce_scatter(ConstBuffer send, Buffer recv, ReduceOp op) {
    MPITRAIN_TRY_VOID(backend_->usable());
    const auto parts = static_cast<std::size_t>(size());
    MPITRAIN_TRY_VOID(check_pair(*backend_, "reduce_scatter", send, recv, {.sent = parts}));
    MPITRAIN_TRY_VOID(check_overlap("reduce_scatter", send, recv, nullptr));
    const recorder::RecordedOperation recorded(
        recorder::OperationLog::of_this_process(),
        next_operation(recorder::OperationKind::reduce_scatter, send, op));
    return send.count == 0 ? Result<void>() : backend_->reduce_scatter(send, recv, op);
}

Result<void> Communicator::allgather(ConstBuffer send, Buffer recv) {
    MPITRAIN_TRY_VOID(backend_->usable());
    const auto parts = static_cast<std::size_t>(size());
    MPITRAIN_TRY_VOID(check_pair(*backend_, "allgather", send, recv, {.received = parts}));
    auto* own = static_cast<std::byte*>(recv.data);
    if (own != nullptr) {
        own += static_cast<std::size_t>(rank()) * send.bytes();
    }
    MPITRAIN_TRY_VOID(check_overlap("allgather", send, recv, own));
    const recorder::RecordedOperation recorded(
        recorder::OperationLog::of_this_process(),
        next_operation(recorder::OperationKind::allgather, send));
    return send.count == 0 ? Result<void>() : backend_->allgather(send, recv);
}

Result<void> Communicator::all_to_all(ConstBuffer send, Buffer recv) {
    MPITRAIN_TRY_VOID(backend_->usable());
    const auto parts = static_cast<std::size_t>(size());
    MPITRAIN_TRY_VOID(
        check_pair(*backend_, "all_to_all", send, recv, {.sent = parts, .received = parts}));
    MPITRAIN_TRY_VOID(check_overlap("all_to_all", send, recv, nullptr));
    const recorder::RecordedOperation recorded(
        recorder::OperationLog::of_this_process(),
        next_operation(recorder::OperationKind::all_to_all, send));
    return send.count == 0 ? Result<void>() : backend_->all_to_all(send, recv);
}

Result<void> Communicator::send(ConstBuffer data, int to) {
    MPITRAIN_TRY_VOID(backend_->usable());
    MPITRAIN_TRY_VOID(check_buffer(*backend_, "send", "data", data));
    MPITRAIN_TRY_VOID(check_rank("send", "to", to, size()));
    return data.count == 0 ? Result<void>() : backend_->send_recv(data, to, {}, 0);
}

Result<void> Communicator::recv(Buffer data, int from) {
    MPITRAIN_TRY_VOID(backend_->usable());
    MPITRAIN_TRY_VOID(check_buffer(*backend_, "recv", "data", data));
    MPITRAIN_TRY_VOID(check_rank("recv", "from", from, size()));
    return data.count == 0 ? Result<void>() : backend_->send_recv({}, 0, data, from);
}

Result<void> Communicator::send_recv(ConstBuffer data, int to, Buffer into, int from) {
    MPITRAIN_TRY_VOID(backend_->usable());
    MPITRAIN_TRY_VOID(check_buffer(*backend_, "send_recv", "data", data));
    MPITRAIN_TRY_VOID(check_buffer(*backend_, "send_recv", "into", into));
    MPITRAIN_TRY_VOID(check_rank("send_recv", "to", to, size()));
    MPITRAIN_TRY_VOID(check_rank("send_recv", "from", from, size()));
    MPITRAIN_TRY_VOID(check_overlap("send_recv", data, into, nullptr));
    return backend_->send_recv(data, to, into, from);
}

Result<void> Communicator::barrier() {
    MPITRAIN_TRY_VOID(backend_->usable());
    const recorder::RecordedOperation recorded(
        recorder::OperationLog::of_this_process(),
        next_operation(recorder::OperationKind::barrier, {}));
    return backend_->barrier();
}

Result<void> Communicator::synchronize() {
    MPITRAIN_TRY_VOID(backend_->usable());
    return backend_->synchronize();
}

Result<std::optional<Communicator>> Communicator::split(std::optional<int> color, int key) {
    MPITRAIN_TRY_VOID(backend_->usable());
    if (color && *color < 0) {
        return wrong("split", fmt::format("the colour is {}, below 0", *color));
    }
    MPITRAIN_TRY(auto part, backend_->split(color, key));
    if (!part) {
        return std::optional<Communicator>();
    }
    return std::optional<Communicator>(Communicator(std::move(part)));
}

Result<Communicator> Communicator::shrink(std::span<const int> without) {
    std::vector<int> gone(without.begin(), without.end());
    std::sort(gone.begin(), gone.end());
    gone.erase(std::unique(gone.begin(), gone.end()), gone.end());
    if (gone.empty()) {
        return wrong("shrink", "no rank is to be left out");
    }
    for (const int each : gone) {
        MPITRAIN_TRY_VOID(check_rank("shrink", "a rank to be left out", each, size()));
        if (each == rank()) {
            return wrong("shrink", "this rank is to be left out, and must not call");
        }
    }
    MPITRAIN_TRY(auto rest, backend_->shrink(gone));
    return Communicator(std::move(rest));
}

void Communicator::abort() {
    backend_->abort();
}

Backend& backend_of(Communicator& communicator) {
    return *communicator.backend_;
}

Result<std::vector<std::string>> exchange_bytes(Communicator& communicator, std::string_view mine) {
    const auto ranks = static_cast<std::size_t>(communicator.size());
    const std::vector<std::int64_t> length{static_cast<std::int64_t>(mine.size())};
    std::vector<std::int64_t> lengths(ranks);
    MPITRAIN_TRY_VOID(communicator.allgather(length, lengths));
    const auto longest =
        static_cast<std::size_t>(*std::max_element(lengths.begin(), lengths.end()));
    std::vector<std::uint8_t> padded(longest);
    std::copy(mine.begin(), mine.end(), padded.begin());
    std::vector<std::uint8_t> all(longest * ranks);
    MPITRAIN_TRY_VOID(communicator.allgather(padded, all));
    std::vector<std::string> parts(ranks);
    for (std::size_t r = 0; r < ranks; ++r) {
        const auto begin = all.begin() + static_cast<std::ptrdiff_t>(r * longest);
        parts[r].assign(begin, begin + lengths[r]);
    }
    return parts;
}

}  // namespace mpitrain::collectives
