#include "mpitrain/checkpoint/lease.hpp"

#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

namespace mpitrain::checkpoint {
namespace {

using Json = nlohmann::json;

constexpr std::chrono::seconds lock_deadline(30);
constexpr std::string_view lease_name = ".writer.json";
constexpr std::string_view new_lease_name = ".writer.json.new";
constexpr std::string_view lock_name = ".writer.lock";

std::string described(const WriterIdentity& writer) {
    const std::string job =
        writer.job.empty() ? "" : fmt::format("job {}#{}, ", writer.job, writer.attempt);
    return fmt::format("{}process {} on {}", job, writer.process, writer.host_name);
}

}  // namespace

Lease::Lease(FileSystem& files,
             std::string directory,
             WriterIdentity self,
             std::string token,
             IsDead is_dead)
    : files_(files),
      directory_(std::move(directory)),
      self_(std::move(self)),
      token_(std::move(token)),
      is_dead_(std::move(is_dead)) {}

// A lease that is missing or unreadable is nobody's: its token is empty. Who wrote it could not
// commit under it either.
Result<Lease::Holder> Lease::read() {
    const auto text = read_small_file(files_, join_path(directory_, lease_name), 1 << 16);
    if (!text) {
        const bool none = text.error().code() == ErrorCode::not_found ||
                          text.error().code() == ErrorCode::invalid_argument;
        return none ? Result<Holder>(Holder{}) : Result<Holder>(text.error());
    }
    try {
        const Json json = Json::parse(*text);
        return Holder{{json.at("job").get<std::string>(),
                       json.at("attempt").get<std::uint64_t>(),
                       json.at("host_name").get<std::string>(),
                       json.at("host").get<std::string>(),
                       json.at("process").get<std::int64_t>(),
                       json.at("process_start").get<std::uint64_t>()},
                      json.at("token").get<std::string>()};
    } catch (const Json::exception&) {
        return Holder{};
    }
}

Result<void> Lease::write() {
    const Json json = {{"schema", "mpitrain.writer/1"},
                       {"token", token_},
                       {"job", self_.job},
                       {"attempt", self_.attempt},
                       {"host_name", self_.host_name},
                       {"host", self_.host},
                       {"process", self_.process},
                       {"process_start", self_.process_start}};
    const std::string fresh = join_path(directory_, new_lease_name);
    const auto removed = files_.remove_file(fresh);  // of a writer that died here
    if (!removed && removed.error().code() != ErrorCode::not_found) {
        return removed;
    }
    const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    MPITRAIN_TRY_VOID(write_new_file(files_, fresh, text));
    MPITRAIN_TRY_VOID(files_.rename(fresh, join_path(directory_, lease_name)));
    return files_.sync_directory(directory_);
}

bool Lease::may_take_from(const Holder& holder) const {
    const bool later_attempt = !self_.job.empty() && self_.job == holder.writer.job &&
                               self_.attempt > holder.writer.attempt;
    return holder.token.empty() || holder.token == token_ || later_attempt ||
           is_dead_(holder.writer);
}

Error Lease::taken_by(const Holder& holder) const {
    return Error(ErrorCode::permission_denied,
                 fmt::format("another writer has this directory: {}", described(holder.writer)))
        .at(directory_)
        .mend(fmt::format("choose another directory, or remove {} once that process has ended",
                          join_path(directory_, lease_name)));
}

Error Lease::lost_to(const Holder& holder) const {
    const std::string who = holder.token.empty() ? "the lease was removed"
                                                 : "now written by " + described(holder.writer);
    return Error(ErrorCode::cancelled,
                 fmt::format("this process may not commit here any more: {}", who))
        .at(directory_);
}

Result<void> Lease::acquire() {
    MPITRAIN_TRY(const auto lock, files_.lock(join_path(directory_, lock_name), lock_deadline));
    MPITRAIN_TRY(const Holder holder, read());
    if (held_) {
        return holder.token == token_ ? Result<void>() : lost_to(holder);
    }
    if (!may_take_from(holder)) {
        return taken_by(holder);
    }
    MPITRAIN_TRY_VOID(write());
    held_ = true;
    return {};
}

Result<void> Lease::guard(const std::function<Result<void>()>& commit) {
    MPITRAIN_TRY(const auto lock, files_.lock(join_path(directory_, lock_name), lock_deadline));
    MPITRAIN_TRY(const Holder holder, read());
    if (holder.token != token_) {
        return lost_to(holder);
    }
    return commit();
}

Result<void> Lease::release() {
    if (!std::exchange(held_, false)) {
        return {};
    }
    return guard([&] { return files_.remove_file(join_path(directory_, lease_name)); });
}

}  // namespace mpitrain::checkpoint
