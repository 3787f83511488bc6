#include "read_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "mpitrain/jobfile/job_file.hpp"

namespace mpitrain::cli {
namespace {

constexpr std::size_t input_bytes_max = 64U
                                        << 20U;  // a hostfile of a million hosts is half of this

class Descriptor {
  public:
    explicit Descriptor(int number) : number_(number) {}
    ~Descriptor() {
        if (number_ >= 0) {
            close(number_);
        }
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    [[nodiscard]] int number() const { return number_; }

  private:
    int number_;
};

Error unreadable(const std::string& path, int errno_value) {
    const Error error = system_error(errno_value, "read", path);
    return Error(ErrorCode::invalid_argument, error.what())
        .at(path)
        .mend(errno_value == ENOENT ? "check the path" : error.mend());
}

bool is_there(const std::string& path) {
    struct stat status {};
    return stat(path.c_str(), &status) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

}  // namespace

Result<std::string> read_input_file(const std::string& path) {
    const Descriptor file(path == "-" ? dup(STDIN_FILENO)
                                      : open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (file.number() < 0) {
        return unreadable(path, errno);
    }
    std::string text;
    while (true) {
        const std::size_t filled = text.size();
        text.resize(filled + (64U << 10U));
        const ssize_t count = read(file.number(), text.data() + filled, text.size() - filled);
        if (count < 0 && errno != EINTR) {
            return unreadable(path, errno);
        }
        text.resize(filled + static_cast<std::size_t>(count < 0 ? 0 : count));
        if (count == 0) {
            return text;
        }
        if (text.size() > input_bytes_max) {
            return Error(ErrorCode::invalid_argument, "longer than 64 MiB")
                .at(path)
                .mend("is this the right file?");
        }
    }
}

std::vector<std::string> config_paths(const EnvironmentMap& environment) {
    std::vector<std::string> paths = {"/etc/mpitrain/config.yaml"};
    const auto config_home = environment.find("XDG_CONFIG_HOME");
    const auto home = environment.find("HOME");
    if (config_home != environment.end() && config_home->second.starts_with('/')) {
        paths.push_back(config_home->second + "/mpitrain/config.yaml");
    } else if (home != environment.end() && !home->second.empty()) {
        paths.push_back(home->second + "/.config/mpitrain/config.yaml");
    }
    return paths;
}

Result<settings::Layer> read_config(const settings::OptionSet& known,
                                    const EnvironmentMap& environment) {
    std::vector<settings::Layer> layers;
    for (const std::string& path : config_paths(environment)) {
        if (is_there(path)) {
            MPITRAIN_TRY(const std::string text, read_input_file(path));
            MPITRAIN_TRY(settings::Layer layer, jobfile::read_config_file(text, path, known));
            layers.push_back(std::move(layer));
        }
    }
    return settings::merge(layers);
}

}  // namespace mpitrain::cli
