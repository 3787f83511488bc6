#pragma once

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

// What the integration tests' programs share: their options, and who they are.
namespace mpitrain::programs {

// "--name value" pairs and bare "--flag"s; a program that is asked for nonsense is a broken test,
// so nothing is checked.
class Arguments {
  public:
    Arguments(int argc, char** argv) : words_(argv + 1, argv + argc) {}

    [[nodiscard]] bool has(std::string_view name) const {
        for (const std::string& word : words_) {
            if (word == name) {
                return true;
            }
        }
        return false;
    }
    [[nodiscard]] std::string text(std::string_view name, std::string fallback) const {
        for (std::size_t i = 0; i + 1 < words_.size(); ++i) {
            if (words_[i] == name) {
                return words_[i + 1];
            }
        }
        return fallback;
    }
    [[nodiscard]] long number(std::string_view name, long fallback) const {
        return std::strtol(text(name, std::to_string(fallback)).c_str(), nullptr, 10);
    }

  private:
    std::vector<std::string> words_;
};

inline std::string environment(const char* name, const char* fallback = "") {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
    const char* value = std::getenv(name);
    return value == nullptr ? fallback : value;
}

inline int environment_number(const char* name, int fallback) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
    const char* value = std::getenv(name);
    return value == nullptr ? fallback : std::atoi(value);
}

}  // namespace mpitrain::programs
