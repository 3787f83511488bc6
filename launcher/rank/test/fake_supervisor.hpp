#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mpitrain/sealed/sealed_stream.hpp"
#include "mpitrain/wire/message.hpp"
#include "posix.hpp"

namespace mpitrain::rank {

using std::chrono::milliseconds;
using std::chrono::seconds;

// One connection of an agent or a guard, seen from the supervisor.
class Peer {
  public:
    explicit Peer(UniqueFd socket) : socket_(std::move(socket)) {}
    // The supervisor's end of a sealed connection.
    Peer(UniqueFd socket, const sealed::Key& key);

    void send(const wire::Message& message);
    void close() { socket_.reset(); }
    // The next message of type M; what comes before it is passed over, but output is collected.
    // Fails the test after `limit`.
    template <typename M>
    M expect(milliseconds limit = seconds(10)) {
        const TimePoint deadline = Clock::now() + limit;
        while (auto message = receive(deadline)) {
            if (auto* wanted = std::get_if<M>(&*message)) {
                return std::move(*wanted);
            }
        }
        ADD_FAILURE() << "no such message came: " << typeid(M).name();
        return {};
    }
    // The next message of any type, or nullopt when the connection ended or the deadline has
    // passed.
    std::optional<wire::Message> receive(TimePoint deadline);
    // Waits until this much of standard output has come.
    void expect_output(const std::string& text);

    std::string out;
    std::string err;
    std::vector<std::string> out_pieces;

  private:
    bool send_bytes(const std::string& bytes);
    // Takes what has come, at the latest at `deadline`. False when nothing more will.
    bool read_some(TimePoint deadline);

    UniqueFd socket_;
    std::unique_ptr<sealed::SealedStream> sealed_;
    wire::Decoder decoder_;
};

// A test's place: a directory, a supervisor's socket, and the promise that in the end no process of
// the test is left. The test process plays the engine: it is the parent of mpitrain-rank.
class RankTest : public testing::Test {
  public:
    ~RankTest() override;
    RankTest(const RankTest&) = delete;
    RankTest& operator=(const RankTest&) = delete;

  protected:
    RankTest();

    // Starts mpitrain-rank as the engine would. `prepare` runs in the child before it is executed.
    pid_t launch(const std::function<void()>& prepare = [] {});
    Peer accept();
    // Both, and Hello.
    Peer connect(const std::function<void()>& prepare = [] {});
    // An order to run test_program with these arguments.
    wire::Start order(std::vector<std::string> arguments);
    // Connects, orders, gives ample credit, waits for the end of all and releases. The usual course
    // of things.
    wire::Ended run(const wire::Start& start);
    wire::Ended run(std::vector<std::string> arguments) { return run(order(std::move(arguments))); }
    // Waits for mpitrain-rank itself; returns its wait status.
    int wait_for_rank(milliseconds limit = seconds(10));

    // Living processes with this test's marker in their environment; zombies count as dead.
    std::vector<pid_t> marked_processes() const;
    void expect_nothing_left(milliseconds limit = seconds(5));
    std::string file(const std::string& name) const;  // its content

    std::filesystem::path directory;
    std::string marker;
    pid_t rank_process = 0;
    std::string out;  // of the last run()
    std::string err;
    // What mpitrain-rank is started with, and what accept() expects.
    std::vector<std::string> rank_arguments;
    std::optional<sealed::Key> key;
    UniqueFd listener;
};

std::string test_program();
std::string rank_program();

// Polls `condition` until it holds or the limit is over.
bool eventually(const std::function<bool()>& condition, milliseconds limit = seconds(10));

}  // namespace mpitrain::rank
