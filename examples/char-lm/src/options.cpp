#include "options.hpp"

#include <fmt/format.h>

#include <boost/program_options.hpp>
#include <iostream>
#include <string>
#include <vector>

namespace char_lm {

using mpitrain::Error;
using mpitrain::ErrorCode;
using mpitrain::Result;

namespace {

namespace po = boost::program_options;

struct Number {
    const char* name;
    std::uint64_t Options::*field;
    std::int64_t low;
    std::int64_t high;
    const char* help;
};

constexpr std::int64_t many = std::int64_t{1} << 40;
constexpr Number numbers[] = {
    {"steps", &Options::steps, 1, many, "steps of training"},
    {"batch", &Options::batch, 1, 1 << 20, "examples in a step, over all ranks"},
    {"hidden", &Options::hidden, 1, 1 << 14, "units of the hidden layer"},
    {"seed", &Options::seed, 0, many, "chooses the first parameters and the order of the text"},
    {"checkpoint-every",
     &Options::checkpoint_every,
     0,
     many,
     "steps between checkpoints; 0: only when told to stop and at the end"},
    {"samples", &Options::samples, 0, 10000, "new lines to write at the end"},
};

po::options_description describe(Options& options) {
    po::options_description all("Options");
    auto add = all.add_options();
    add("help,h", "show this text");
    add("data",
        po::value(&options.data)->value_name("FILE")->default_value(options.data),
        "the text to learn");
    add("lr",
        po::value(&options.learning_rate)->value_name("X")->default_value(0.003, "0.003"),
        "the highest learning rate");
    add("checkpoint-dir",
        po::value(&options.checkpoint_directory)->value_name("DIR"),
        "where checkpoints go (default: $MPITRAIN_CHECKPOINT_DIR, else none)");
    for (const Number& number : numbers) {
        const auto standard = static_cast<std::int64_t>(options.*number.field);
        add(number.name,
            po::value<std::int64_t>()->value_name("N")->default_value(standard),
            number.help);
    }
    return all;
}

Result<void> take_numbers(const po::variables_map& given, Options& options) {
    for (const Number& number : numbers) {
        const auto value = given[number.name].as<std::int64_t>();
        if (value < number.low || value > number.high) {
            return Error(
                ErrorCode::invalid_argument,
                fmt::format(
                    "--{} is {}, not within {} … {}", number.name, value, number.low, number.high));
        }
        options.*number.field = static_cast<std::uint64_t>(value);
    }
    if (!(options.learning_rate > 0 && options.learning_rate <= 1)) {
        return Error(ErrorCode::invalid_argument,
                     fmt::format("--lr is {}, not within 0 … 1", options.learning_rate))
            .mend("0.003 suits most texts");
    }
    return {};
}

}  // namespace

Result<std::optional<Options>> parse_options(int argc, const char* const* argv) {
    Options options;
    po::options_description all = describe(options);
    po::options_description hidden;
    hidden.add_options()("word", po::value<std::vector<std::string>>());
    hidden.add(all);
    po::variables_map given;
    try {
        constexpr int exact =
            po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
        const auto words = po::positional_options_description().add("word", -1);
        po::store(po::command_line_parser(argc, argv)
                      .options(hidden)
                      .positional(words)
                      .style(exact)
                      .run(),
                  given);
        po::notify(given);
    } catch (const std::exception& problem) {
        return Error(ErrorCode::invalid_argument, problem.what()).mend("see char-lm --help");
    }
    if (given.count("help") > 0) {
        std::cout << "char-lm: learns to write words, on all ranks together.\n\n"
                     "Usage: mpitrain run -n 2 char-lm [options]\n"
                     "       mpirun -np 2 char-lm --data book.txt --checkpoint-dir run1\n\n"
                  << all;
        return std::optional<Options>();
    }
    if (given.count("word") > 0) {
        const auto& word = given["word"].as<std::vector<std::string>>().front();
        return Error(ErrorCode::invalid_argument, fmt::format("'{}' is no option", word))
            .mend("see char-lm --help");
    }
    MPITRAIN_TRY_VOID(take_numbers(given, options));
    return std::optional<Options>(options);
}

}  // namespace char_lm
