#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "arguments.hpp"

namespace mpitrain::programs {

// Connections of all ranks to one of them. When that one dies the others see it as end of file, at
// the very moment the kernel closes its files (so before it can be waited for), and fail as real
// programs do: by an exit code of their own, an uncaught exception, or a segmentation fault.
class Cascade {
  public:
    Cascade(int rank, int size, int origin, unsigned seed)
        : random_(seed * 1000U + static_cast<unsigned>(rank)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        // An abstract name: leaves no file.
        const std::string name = "mpitrain-fault-" + environment("MASTER_PORT") + "-" +
                                 environment("MPITRAIN_JOB_ID") + "-" +
                                 environment("MPITRAIN_ATTEMPT");
        name.copy(address.sun_path + 1, sizeof address.sun_path - 2);
        const auto length =
            static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
        if (rank == origin) {
            listen_for(size - 1, address, length);
        } else {
            connect_to(address, length);
        }
    }
    Cascade(const Cascade&) = delete;
    Cascade& operator=(const Cascade&) = delete;
    ~Cascade() {
        for (const int fd : sockets_) {
            close(fd);
        }
    }

    // Returns unless the origin is gone.
    void react() {
        if (peer_ < 0) {
            return;
        }
        char byte = 0;
        const ssize_t count = recv(peer_, &byte, 1, MSG_DONTWAIT);
        if (count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR))) {
            return;
        }
        std::fprintf(stderr, "Connection closed by peer\n");
        constexpr unsigned delay_us_max = 30'000;
        usleep(static_cast<useconds_t>(random_() % delay_us_max));
        switch (random_() % 4) {
            case 0:
                std::abort();
            case 1:
                std::raise(SIGSEGV);
                break;
            default:
                break;
        }
        _exit(static_cast<int>(40 + random_() % 60));
    }

  private:
    static void fail(const char* what) {
        std::perror(what);
        _exit(98);
    }

    void listen_for(int peers, const sockaddr_un& address, socklen_t length) {
        const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(listener, reinterpret_cast<const sockaddr*>(&address), length) != 0 ||
            listen(listener, std::max(peers, 1)) != 0) {
            fail("cascade: listen");
        }
        sockets_.push_back(listener);
        for (int i = 0; i < peers; ++i) {
            const int accepted = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
            if (accepted < 0) {
                fail("cascade: accept");
            }
            sockets_.push_back(accepted);
        }
    }

    void connect_to(const sockaddr_un& address, socklen_t length) {
        peer_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockets_.push_back(peer_);
        constexpr int tries_max = 2000;
        for (int i = 0; i < tries_max; ++i) {
            if (connect(peer_, reinterpret_cast<const sockaddr*>(&address), length) == 0) {
                return;
            }
            usleep(5000);
        }
        fail("cascade: connect");
    }

    std::mt19937 random_;
    std::vector<int> sockets_;
    int peer_ = -1;
};

}  // namespace mpitrain::programs
