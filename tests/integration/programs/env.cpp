// Prints what a rank finds: {"environment": {…}, "cpus": [0, 1], "workdir": "…", "uid": 0}, in one
// line.
#include <sched.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstdio>
#include <string>

#include "arguments.hpp"

namespace {

std::string quoted(const std::string& text) {
    std::string json = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            json += '\\';
            json += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            std::array<char, 8> escaped{};
            std::snprintf(escaped.data(), escaped.size(), "\\u%04x", static_cast<unsigned>(c));
            json += escaped.data();
        } else {
            json += c;
        }
    }
    return json + "\"";
}

std::string environment_json() {
    std::string json;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string text = *entry;
        const std::size_t equals = text.find('=');
        json += json.empty() ? "" : ", ";
        json += quoted(text.substr(0, equals)) + ": " + quoted(text.substr(equals + 1));
    }
    return "{" + json + "}";
}

std::string cpus_json() {
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    std::string json;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &set)) {
            json += (json.empty() ? "" : ", ") + std::to_string(cpu);
        }
    }
    return "[" + json + "]";
}

}  // namespace

int main(int argc, char** argv) {
    std::array<char, PATH_MAX> workdir{};
    if (::getcwd(workdir.data(), workdir.size()) == nullptr) {
        return 1;
    }
    const std::string json = "{\"environment\": " + environment_json() +
                             ", \"cpus\": " + cpus_json() +
                             ", \"workdir\": " + quoted(workdir.data()) +
                             ", \"uid\": " + std::to_string(::getuid()) + "}\n";
    // One write: on a shared terminal the line stays whole.
    if (::write(STDOUT_FILENO, json.data(), json.size()) != static_cast<ssize_t>(json.size())) {
        return 1;
    }
    const mpitrain::programs::Arguments arguments(argc, argv);
    ::usleep(static_cast<useconds_t>(arguments.number("--hold-ms", 0) * 1000));
    return 0;
}
