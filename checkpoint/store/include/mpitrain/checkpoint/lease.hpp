#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "mpitrain/base/result.hpp"
#include "mpitrain/seam/file_system.hpp"

// One writer a directory. The lease is a small file that says who; every look at it and every
// commit happens under a lock, so that a writer who lost it cannot commit any more.
namespace mpitrain::checkpoint {

// Who writes. `host` is the machine's boot and process namespace: process ids mean nothing beyond.
struct WriterIdentity {
    std::string job;  // empty outside mpitrain
    std::uint64_t attempt = 0;
    std::string host_name;
    std::string host;
    std::int64_t process = 0;
    std::uint64_t process_start = 0;  // tells a process from a later one of the same id
    bool operator==(const WriterIdentity&) const = default;
};

WriterIdentity this_process(std::string job, std::uint64_t attempt);

// True only when it is certain: same host and process namespace, and no such process there.
bool is_known_dead(const WriterIdentity& writer);

class Lease {
  public:
    using IsDead = std::function<bool(const WriterIdentity&)>;

    // `files` must outlive the lease. `token` is unique to this writer.
    Lease(FileSystem& files,
          std::string directory,
          WriterIdentity self,
          std::string token,
          IsDead is_dead);

    // Takes the lease, or takes it over: from a writer that is dead, or from an earlier attempt of
    // the same job. Idempotent. Errors: permission_denied (another writer holds it), cancelled (it
    // was ours and is not any more), io.
    Result<void> acquire();
    // Runs `commit` while nobody can take the lease. Errors: cancelled (it is not ours any more).
    Result<void> guard(const std::function<Result<void>()>& commit);
    // Gives it back, if it is still ours.
    Result<void> release();

  private:
    struct Holder {
        WriterIdentity writer;
        std::string token;
    };
    Result<Holder> read();
    Result<void> write();
    Error taken_by(const Holder& holder) const;
    Error lost_to(const Holder& holder) const;
    bool may_take_from(const Holder& holder) const;

    FileSystem& files_;
    std::string directory_;
    WriterIdentity self_;
    std::string token_;
    IsDead is_dead_;
    bool held_ = false;
};

}  // namespace mpitrain::checkpoint
