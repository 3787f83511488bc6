// The rendezvous of a training job: rank 0 listens on MASTER_PORT as torch's store does, every
// other rank connects and both say which job they are of.
//
//   port [--hold-ms M]      codes: 0 all met, 7 cannot listen, 8 cannot connect, 9 met a stranger
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>

#include "arguments.hpp"

namespace mpitrain::programs {
namespace {

sockaddr_in master() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(environment_number("MASTER_PORT", 0)));
    inet_pton(AF_INET, environment("MASTER_ADDR", "127.0.0.1").c_str(), &address.sin_addr);
    return address;
}

// Job ids count up for each user, so a job is its id and its user.
std::array<char, 64> identity() {
    std::array<char, 64> text{};
    std::snprintf(
        text.data(), text.size(), "%s of %u", environment("MPITRAIN_JOB_ID").c_str(), getuid());
    return text;
}

bool same_job(int fd) {
    const auto mine = identity();
    std::array<char, 64> theirs{};
    return send(fd, mine.data(), mine.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(mine.size()) &&
           recv(fd, theirs.data(), theirs.size(), MSG_WAITALL) ==
               static_cast<ssize_t>(theirs.size()) &&
           theirs == mine;
}

int serve(int peers) {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address = master();
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        listen(listener, 128) != 0) {
        std::perror("port: listen");
        return 7;
    }
    for (int i = 0; i < peers; ++i) {
        const int fd = accept(listener, nullptr, nullptr);
        if (fd < 0 || !same_job(fd)) {
            std::fprintf(stderr, "port: a stranger came\n");
            return 9;
        }
        close(fd);
    }
    return 0;
}

int join() {
    const sockaddr_in address = master();
    constexpr int tries_max = 2000;
    for (int i = 0; i < tries_max; ++i) {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
            return same_job(fd) ? 0 : 9;
        }
        close(fd);
        usleep(10'000);
    }
    std::perror("port: connect");
    return 8;
}

}  // namespace
}  // namespace mpitrain::programs

int main(int argc, char** argv) {
    using namespace mpitrain::programs;
    const Arguments arguments(argc, argv);
    const int code = environment_number("RANK", 0) == 0
                         ? serve(environment_number("WORLD_SIZE", 1) - 1)
                         : join();
    usleep(static_cast<useconds_t>(arguments.number("--hold-ms", 0) * 1000));
    std::printf("port %s: %d\n", environment("MASTER_PORT").c_str(), code);
    return code;
}
