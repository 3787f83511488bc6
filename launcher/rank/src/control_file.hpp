#pragma once

#include <memory>
#include <string>
#include <vector>

#include "mpitrain/control_page.hpp"
#include "mpitrain/recorder/operation_page.hpp"
#include "mpitrain/wire/message.hpp"
#include "posix.hpp"

namespace mpitrain::rank {

// The agent's end of a rank's control page (client/control_page.hpp). The program can write
// anything into it, so every value read from it is only ever passed on. Loop-only.
class ControlFile {
  public:
    // Creates `path` anew, for this user alone. On failure returns null and sets errno.
    static std::unique_ptr<ControlFile> create(const std::string& path, pid_t agent);
    ControlFile(const ControlFile&) = delete;
    ControlFile& operator=(const ControlFile&) = delete;
    ~ControlFile();  // removes the file

    [[nodiscard]] wire::ClientUse use() const;
    [[nodiscard]] bool told_stop() const;
    // What is new since the last call: Commit (each one, in order), SaveFailed (the last one),
    // Progress, Activity, StopRequested.
    std::vector<wire::Message> news();
    // The agent's half of the handshake: holds the program at its next should_stop, and says how
    // far it had got.
    wire::StopPrepared prepare_stop();
    void decide_stop(std::uint64_t step, std::int64_t left_ns);
    // Whether the program, or a library loaded into it, notes its collectives here.
    [[nodiscard]] bool records() const;
    // The collectives it noted last, and the process that did; 0 = none.
    [[nodiscard]] std::vector<wire::Operation> operations() const;
    [[nodiscard]] pid_t recorder() const;
    // The signal that this process answers with its threads' stacks, 0 = none; how often it has;
    // and what it wrote, which is then gone.
    [[nodiscard]] int stacks_signal() const;
    [[nodiscard]] std::uint64_t stacks_written() const;
    [[nodiscard]] std::string take_stacks() const;

  private:
    ControlFile(std::string path, client::ControlPage* page, recorder::OperationPage* operations)
        : path_(std::move(path)), page_(page), operations_(operations) {}
    void wake() const;
    void read_commits(std::vector<wire::Message>& news);
    std::optional<wire::SaveFailed> read_failure();
    std::optional<wire::Progress> read_progress();

    std::string path_;
    client::ControlPage* page_;
    recorder::OperationPage* operations_;
    std::uint64_t operations_told_ = 0;
    std::uint64_t commits_read_ = 0;
    std::uint64_t failed_read_ = 0;
    std::uint64_t progress_read_ = 0;
    std::uint64_t checkpoint_read_ns_ = 0;
};

}  // namespace mpitrain::rank
