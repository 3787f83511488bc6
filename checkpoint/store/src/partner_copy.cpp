#include "partner_copy.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "local_commit.hpp"

namespace mpitrain::checkpoint {
namespace {

constexpr std::uint64_t part_bytes = Staging::buffer_bytes;

const ShardFile* shard_of(const Manifest& manifest, int rank) {
    const auto at =
        std::find_if(manifest.shards.begin(), manifest.shards.end(), [&](const ShardFile& shard) {
            return writer_of(shard.file) == rank;
        });
    return at == manifest.shards.end() ? nullptr : &*at;
}

// One end of a file on its way. After an error it goes on with whatever is in the buffer, for the
// rank at the other end counts on its bytes.
class End {
  public:
    End(int rank, const ShardFile* shard)
        : rank_(shard == nullptr ? -1 : rank), shard_(shard), failed_() {}

    // The rank at the other end; -1 when there is nothing more to move.
    [[nodiscard]] int rank_at(std::uint64_t at) const { return at < size_bytes() ? rank_ : -1; }
    [[nodiscard]] std::uint64_t size_bytes() const {
        return shard_ == nullptr ? 0 : shard_->size_bytes;
    }
    [[nodiscard]] std::size_t count_at(std::uint64_t at) const {
        return at < size_bytes() ? static_cast<std::size_t>(std::min(part_bytes, size_bytes() - at))
                                 : 0;
    }

    template <typename Work>
    void attempt(Work work) {
        if (!failed_ && shard_ != nullptr) {
            if (Result<void> done = work(); !done) {
                failed_ = std::move(done).error();
            }
        }
    }
    [[nodiscard]] const std::optional<Error>& failed() const { return failed_; }
    [[nodiscard]] std::string path_in(const std::string& place) const {
        return join_path(place, shard_->file);
    }
    std::unique_ptr<File> file;

  private:
    int rank_;
    const ShardFile* shard_;
    std::optional<Error> failed_;
};

// What a rank does in one round: at most one file out, at most one in.
class Round {
  public:
    Round(FileSystem& files, Peers& peers, const std::string& place, const Staging& staging)
        : files_(files), peers_(peers), place_(place), staging_(staging) {}

    // Errors: of the ranks; those of the files are left at the ends.
    Result<void> run(End& out, End& in, std::chrono::milliseconds deadline) {
        open(out, in);
        const std::uint64_t length = std::max(out.size_bytes(), in.size_bytes());
        for (std::uint64_t at = 0; at < length; at += part_bytes) {
            const auto sent = staging_.buffer(0).first(out.count_at(at));
            const auto got = staging_.buffer(1).first(in.count_at(at));
            if (!sent.empty()) {
                out.attempt([&] { return read_all(*out.file, out.path_in(place_), at, sent); });
            }
            MPITRAIN_TRY_VOID(peers_.swap(out.rank_at(at), sent, in.rank_at(at), got, deadline));
            if (!got.empty()) {
                in.attempt([&] { return in.file->write(at, got); });
            }
        }
        in.attempt([&] { return in.file->sync(); });
        return {};
    }

  private:
    void open(End& out, End& in) {
        out.attempt([&]() -> Result<void> {
            MPITRAIN_TRY(out.file, files_.open(out.path_in(place_), {}));
            return {};
        });
        in.attempt([&]() -> Result<void> {
            MPITRAIN_TRY(in.file, files_.open(in.path_in(place_), {.mode = OpenMode::create}));
            return in.file->allocate(in.size_bytes());
        });
    }
    static Result<void> read_all(File& file,
                                 const std::string& path,
                                 std::uint64_t at,
                                 std::span<std::byte> bytes) {
        MPITRAIN_TRY(const std::size_t got, file.read(at, bytes));
        return got == bytes.size()
                   ? Result<void>()
                   : Result<void>(Error(ErrorCode::data_loss, "the file ends early").at(path));
    }

    FileSystem& files_;
    Peers& peers_;
    const std::string& place_;
    const Staging& staging_;
};

}  // namespace

Result<void> exchange_copies(FileSystem& files,
                             Peers& peers,
                             const NodeMap& nodes,
                             const std::string& place,
                             const Manifest& manifest,
                             const Staging& staging,
                             std::chrono::milliseconds deadline) {
    const int self = peers.rank();
    const std::vector<int> wards = nodes.wards_of(self);
    // A rank sends in the round in which its partner gets to it.
    std::size_t sends_in = 0;
    std::size_t rounds = 0;
    for (int rank = 0; rank < peers.size(); ++rank) {
        rounds = std::max(rounds, nodes.wards_of(rank).size());
    }
    const auto partner = nodes.partner_of(self);
    if (partner) {
        const std::vector<int> ours = nodes.wards_of(*partner);
        sends_in =
            static_cast<std::size_t>(std::find(ours.begin(), ours.end(), self) - ours.begin());
    }
    std::optional<Error> failed;
    Round one(files, peers, place, staging);
    for (std::size_t round = 0; round < rounds; ++round) {
        const bool sends = partner && round == sends_in;
        End out(sends ? *partner : -1, sends ? shard_of(manifest, self) : nullptr);
        const int ward = round < wards.size() ? wards[round] : -1;
        End in(ward, ward < 0 ? nullptr : shard_of(manifest, ward));
        MPITRAIN_TRY_VOID(one.run(out, in, deadline));
        if (!failed) {
            failed = out.failed() ? out.failed() : in.failed();
        }
    }
    return failed ? Result<void>(*failed) : Result<void>();
}

}  // namespace mpitrain::checkpoint
