// Runs a libFuzzer target, LLVMFuzzerTestOneInput, without libFuzzer: replays every corpus file,
// then feeds mutations of them. The same seed gives the same inputs on every machine. Options are
// libFuzzer's own, so a test's command line fits both:
//   x_fuzz [-runs=N] [-seed=S] [-max_len=BYTES] [-timeout=SECONDS] [-dict=FILE]
//   [-artifact_prefix=P] [FILE|DIRECTORY…]
// Exits 0 when every input was survived, 77 after a crash, 70 after a hang; the input that did it
// is then in a file, whose name is printed. Replay it by naming it alone, with -runs=0.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
// There only in sanitized programs; it then reports a crash better than our signal handler can.
// NOLINTNEXTLINE(bugprone-reserved-identifier): the sanitizers name it
extern "C" [[gnu::weak]] void __sanitizer_set_death_callback(void (*callback)());

namespace {

using Input = std::string;

struct Options {
    std::uint64_t runs = 10'000;
    std::uint64_t seed = 1;
    std::uint64_t bytes_max = 4096;
    std::uint64_t timeout_s = 20;
    std::string dictionary;
    std::string artifact_prefix = "./";
    std::vector<std::filesystem::path> corpora;
};

void complain(std::string_view what, std::string_view of) {
    std::cerr << "fuzz: " << what << ' ' << of << '\n';
}

// What a signal handler needs to know of the input under test.
struct UnderTest {
    const char* data = nullptr;
    std::size_t size = 0;
    std::array<char, 512> artifact{};
};
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): a signal handler reads it
UnderTest under_test;

// Async-signal-safe, all of it.
void print(std::string_view text) {
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

void save_input() {
    const int file =
        ::open(under_test.artifact.data(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    std::size_t done = 0;
    while (file >= 0 && done < under_test.size) {
        const auto wrote = ::write(file, under_test.data + done, under_test.size - done);
        if (wrote <= 0) {
            break;
        }
        done += static_cast<std::size_t>(wrote);
    }
    print(done == under_test.size && file >= 0
              ? "fuzz: the failing input is in "
              : "fuzz: the failing input could not be written to ");
    print(under_test.artifact.data());
    print("\n");
}

void on_signal(int signal) {
    print(signal == SIGALRM ? "fuzz: an input took longer than -timeout\n"
                            : "fuzz: an input crashed\n");
    save_input();
    ::_exit(signal == SIGALRM ? 70 : 77);
}

void catch_signals() {
    static std::array<char, 64 << 10> stack;  // a stack overflow must be reported too
    stack_t alternate{};
    alternate.ss_sp = stack.data();
    alternate.ss_size = stack.size();
    ::sigaltstack(&alternate, nullptr);
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_ONSTACK | static_cast<int>(SA_RESETHAND);
    std::vector<int> signals{SIGABRT, SIGALRM};
    if (__sanitizer_set_death_callback != nullptr) {
        __sanitizer_set_death_callback(save_input);
    } else {
        signals.insert(signals.end(), {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP});
    }
    for (const int signal : signals) {
        ::sigaction(signal, &action, nullptr);
    }
}

// Named by what it holds, so that two failures do not overwrite each other.
void name_artifact(std::string_view prefix, std::string_view input) {
    std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
    for (const char c : input) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    }
    std::array<char, 17> digits{};
    const auto end = std::to_chars(digits.begin(), digits.end(), hash, 16).ptr;
    const std::string name = std::string(prefix) + "crash-" + std::string(digits.begin(), end);
    under_test.artifact.fill('\0');
    name.copy(under_test.artifact.data(), under_test.artifact.size() - 1);
}

void run_one(const Options& options, std::string_view input) {
    // An allocation of the exact size lets a sanitizer see a read beyond the end.
    const auto copy = std::make_unique<char[]>(input.size());
    std::copy(input.begin(), input.end(), copy.get());
    name_artifact(options.artifact_prefix, input);
    under_test.data = copy.get();
    under_test.size = input.size();
    ::alarm(static_cast<unsigned>(options.timeout_s));
    // The target sees bytes; the pointer conversion is libFuzzer's interface.
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(copy.get()), input.size());
    ::alarm(0);
    under_test.data = nullptr;
    under_test.size = 0;
}

std::optional<Input> read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        return std::nullopt;
    }
    std::ostringstream content;
    content << file.rdbuf();
    return std::move(content).str();
}

// All corpus files in the order of their names, so that runs repeat.
std::optional<std::vector<Input>> read_corpora(const Options& options) {
    std::vector<Input> inputs;
    for (const auto& corpus : options.corpora) {
        std::vector<std::filesystem::path> files{corpus};
        if (std::filesystem::is_directory(corpus)) {
            files.assign(std::filesystem::directory_iterator(corpus), {});
        }
        std::sort(files.begin(), files.end());
        for (const auto& file : files) {
            auto input = read_file(file);
            if (!input) {
                complain("cannot read", file.native());
                return std::nullopt;
            }
            inputs.push_back(std::move(*input));
        }
    }
    return inputs;
}

// libFuzzer's dictionary: one `name="value"` or `"value"` a line, with \\, \" and \xNN.
std::vector<Input> parse_dictionary(std::string_view text) {
    std::vector<Input> tokens;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        const auto line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const auto open = line.find('"');
        const auto close = line.rfind('"');
        if (line.starts_with('#') || open == close) {
            continue;
        }
        Input token;
        for (auto at = open + 1; at < close; ++at) {
            unsigned byte = 0;
            const bool escape = line[at] == '\\' && at + 1 < close;
            if (escape && line[at + 1] == 'x' && at + 3 < close) {
                std::from_chars(&line[at + 2], &line[at + 2] + 2, byte, 16);
                token.push_back(static_cast<char>(byte));
                at += 3;
            } else {
                at += escape ? 1 : 0;
                token.push_back(line[at]);
            }
        }
        tokens.push_back(std::move(token));
    }
    return tokens;
}

class Mutator {
  public:
    Mutator(std::uint64_t seed,
            std::size_t bytes_max,
            std::vector<Input> corpus,
            std::vector<Input> tokens)
        : random_(seed),
          bytes_max_(bytes_max),
          corpus_(std::move(corpus)),
          tokens_(std::move(tokens)) {
        if (corpus_.empty()) {
            corpus_.emplace_back();
        }
        for (const char* token : {"0",
                                  "-1",
                                  "1",
                                  "2147483648",
                                  "9223372036854775807",
                                  "1e999",
                                  "nan",
                                  "\"",
                                  "[",
                                  "]",
                                  "{",
                                  "}",
                                  ",",
                                  ":",
                                  "\n",
                                  "\\",
                                  "%s",
                                  "\xff\xff\xff\xff",
                                  "\xc3\x28"}) {
            tokens_.emplace_back(token);
        }
        tokens_.emplace_back(1, '\0');
    }

    Input next() {
        Input input = pick(corpus_);
        for (auto rounds = 1 + below(6); rounds > 0; --rounds) {
            mutate(input);
        }
        input.resize(std::min(input.size(), bytes_max_));
        return input;
    }

  private:
    // Standard distributions differ between libraries; a remainder does not.
    std::size_t below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }
    const Input& pick(const std::vector<Input>& from) { return from[below(from.size())]; }

    void mutate(Input& input) {
        const auto at = below(input.size() + 1);
        const auto length = 1 + below(std::min<std::size_t>(input.size() - at, 64));
        switch (below(9)) {
            case 0:
                return flip_bit(input);
            case 1:
                input.insert(at, 1, static_cast<char>(below(256)));
                return;
            case 2:
                input.insert(at, pick(tokens_));
                return;
            case 3:
                input.erase(at, length);
                return;
            case 4:
                input.insert(at, input.substr(at, length));
                return;
            case 5:
                input.resize(at);
                return;
            case 6:
                return splice(input, at);
            case 7:
                input.replace(at, length, pick(tokens_));
                return;
            default:
                // A deep nest or a long run finds recursion and quadratic work.
                input.insert(at, 1 + below(300), at < input.size() ? input[at] : '[');
        }
    }

    void flip_bit(Input& input) {
        if (!input.empty()) {
            auto& byte = input[below(input.size())];
            byte = static_cast<char>(static_cast<unsigned char>(byte) ^ (1U << below(8)));
        }
    }

    void splice(Input& input, std::size_t at) {
        const Input& other = pick(corpus_);
        input.resize(at);
        input.append(other, below(other.size() + 1), Input::npos);
    }

    std::mt19937_64 random_;
    std::size_t bytes_max_;
    std::vector<Input> corpus_;
    std::vector<Input> tokens_;
};

bool read_number(std::string_view text, std::uint64_t& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size();
}

std::optional<Options> parse_options(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        if (!argument.starts_with('-')) {
            options.corpora.emplace_back(argument);
            continue;
        }
        const auto equals = std::min(argument.find('='), argument.size() - 1);
        const auto name = argument.substr(0, equals);
        const auto value = argument.substr(equals + 1);
        bool valid = true;
        if (name == "-runs") {
            valid = read_number(value, options.runs);
        } else if (name == "-seed") {
            valid = read_number(value, options.seed);
        } else if (name == "-max_len") {
            valid = read_number(value, options.bytes_max);
        } else if (name == "-timeout") {
            valid = read_number(value, options.timeout_s);
        } else if (name == "-dict") {
            options.dictionary = value;
        } else if (name == "-artifact_prefix") {
            options.artifact_prefix = value;
        } else {
            valid = false;
        }
        if (!valid) {
            complain("cannot understand", argument);
            return std::nullopt;
        }
    }
    return options;
}

int fuzz(const Options& options) {
    auto corpus = read_corpora(options);
    std::optional<Input> dictionary = Input();
    if (!options.dictionary.empty()) {
        dictionary = read_file(options.dictionary);
    }
    if (!corpus || !dictionary) {
        return 2;
    }
    catch_signals();
    run_one(options, "");
    for (const auto& input : *corpus) {
        run_one(options, input);
    }
    const auto replayed = corpus->size();
    Mutator mutator(
        options.seed, options.bytes_max, std::move(*corpus), parse_dictionary(*dictionary));
    for (std::uint64_t run = 0; run < options.runs; ++run) {
        run_one(options, mutator.next());
    }
    std::cout << "fuzz: " << replayed << " corpus files and " << options.runs
              << " mutations survived (seed " << options.seed << ")\n";
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const auto options = parse_options(argc, argv);
    return options ? fuzz(*options) : 2;
}
