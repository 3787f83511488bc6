#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "accelerator.hpp"
#include "assemble.hpp"
#include "in_child.hpp"
#include "load_machine.hpp"
#include "mpitrain/base/assert.hpp"
#include "xml.hpp"

// Whatever a file holds, this process survives it, and what comes of it obeys the limits of a
// machine. hwloc itself does not survive every file: that is what the child is for. A child for
// each input costs milliseconds under the sanitizers, so one child reads inputs until it dies of
// one; whether an input's answer is wrong is decided by a child of its own.
namespace {

using namespace mpitrain::topology;

mpitrain::Result<mpitrain::NodeTopology> load(const std::string& xml) {
    MPITRAIN_TRY(Machine machine, load_xml_machine(xml));
    std::vector<Accelerator> gpus = find_gpus(machine, machine.warnings);
    return assemble(std::move(machine), std::move(gpus), {}, mpitrain::Device::automatic);
}

bool is_a_machine(const mpitrain::NodeTopology& node) {
    mpitrain::CpuSet taken;
    for (const auto& slot : node.slots) {
        if (taken.intersects(slot.cpus)) {
            return false;
        }
        taken |= slot.cpus;
    }
    return node.allowed.includes(taken);
}

enum Answer : char { is_well = 'w', is_wrong = 'x' };

[[noreturn]] void read_inputs(int socket) {
    for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM}) {
        std::signal(signal, SIG_DFL);
    }
    std::string xml(std::size_t{1} << 20, '\0');
    while (true) {
        const ssize_t size = recv(socket, xml.data(), xml.size(), 0);
        if (size <= 0) {
            _exit(0);
        }
        alarm(10);
        const auto node = load(xml.substr(0, static_cast<std::size_t>(size)));
        const char answer = !node || is_a_machine(*node) ? is_well : is_wrong;
        if (send(socket, &answer, 1, MSG_NOSIGNAL) != 1) {
            _exit(0);
        }
    }
}

class Reader {
  public:
    // Whether the child found the answer wrong. Its death is no answer.
    bool finds_wrong(const std::string& xml) {
        if (child_ < 0) {
            start();
        }
        char answer = is_well;
        if (send(socket_, xml.data(), xml.size(), MSG_NOSIGNAL) < 0 ||
            recv(socket_, &answer, 1, 0) != 1) {
            close(socket_);
            waitpid(child_, nullptr, 0);
            child_ = -1;
        }
        return answer == is_wrong;
    }

  private:
    void start() {
        std::array<int, 2> ends{};
        MPITRAIN_ASSERT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
        child_ = fork();
        MPITRAIN_ASSERT(child_ >= 0);
        if (child_ == 0) {
            close(ends[0]);
            read_inputs(ends[1]);
        }
        close(ends[1]);
        socket_ = ends[0];
    }

    pid_t child_ = -1;
    int socket_ = -1;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t message_max = std::size_t{100} << 10;  // what a socket takes at once
    static Reader reader;
    const std::string xml(data, data + size);
    if (!check_xml(xml)) {
        return 0;
    }
    if (size > 0 && size <= message_max && !reader.finds_wrong(xml)) {
        return 0;
    }
    const auto node = in_child([&xml] { return load(xml); });
    MPITRAIN_ASSERT(!node || is_a_machine(*node));
    return 0;
}
