#include "options.hpp"

#include <fmt/format.h>

#include <boost/program_options.hpp>
#include <iostream>
#include <limits>

namespace char_lm {

using mpitrain::Error;
using mpitrain::ErrorCode;
using mpitrain::Result;

namespace {

namespace po = boost::program_options;

// A whole number as text, so that "-1" is an error and not 2^64 - 1.
struct Number {
    std::uint64_t* value;
    std::uint64_t low;
    std::uint64_t high;
};

po::typed_value<std::int64_t>* number(Number limits) {
    return po::value<std::int64_t>()
        ->value_name("N")
        ->default_value(static_cast<std::int64_t>(*limits.value))
        ->notifier([limits](std::int64_t given) {
            if (given < 0 || static_cast<std::uint64_t>(given) < limits.low ||
                static_cast<std::uint64_t>(given) > limits.high) {
                throw po::error(
                    fmt::format("{} is not within {} … {}", given, limits.low, limits.high));
            }
            *limits.value = static_cast<std::uint64_t>(given);
        });
}

po::options_description describe(Options& options) {
    constexpr std::uint64_t many = std::uint64_t{1} << 40;
    po::options_description all("Options");
    auto add = all.add_options();
    add("help,h", "show this text");
    add("data",
        po::value(&options.data)->value_name("FILE")->default_value(options.data),
        "the text to learn");
    add("steps", number({&options.steps, 1, many}), "steps of training");
    add("batch", number({&options.batch, 1, 1 << 20}), "examples in a step, over all ranks");
    add("hidden", number({&options.hidden, 1, 1 << 14}), "units of the hidden layer");
    add("seed",
        number({&options.seed, 0, many}),
        "chooses the first parameters and the order of the text");
    add("lr",
        po::value(&options.learning_rate)
            ->value_name("X")
            ->default_value(options.learning_rate, "0.003"),
        "the highest learning rate");
    add("checkpoint-dir",
        po::value(&options.checkpoint_directory)->value_name("DIR"),
        "where checkpoints go (default: $MPITRAIN_CHECKPOINT_DIR, else none)");
    add("checkpoint-every",
        number({&options.checkpoint_every, 0, many}),
        "steps between checkpoints; 0: at the end");
    add("samples", number({&options.samples, 0, 10000}), "new lines to write at the end");
    return all;
}

}  // namespace

Result<std::optional<Options>> parse_options(int argc, const char* const* argv) {
    Options options;
    const po::options_description all = describe(options);
    try {
        po::variables_map given;
        po::store(po::command_line_parser(argc, argv)
                      .options(all)
                      .positional({})
                      .style(po::command_line_style::default_style &
                             ~po::command_line_style::allow_guessing)
                      .run(),
                  given);
        if (given.count("help") > 0) {
            std::cout << "char-lm: learns to write words, character by character, on all ranks "
                         "together.\n\n"
                         "Usage: mpitrain run -n 2 char-lm [options]\n"
                         "       mpirun -np 2 char-lm --data book.txt --checkpoint-dir run1\n\n"
                      << all;
            return std::optional<Options>();
        }
        po::notify(given);
    } catch (const std::exception& problem) {
        return Error(ErrorCode::invalid_argument, problem.what()).mend("see char-lm --help");
    }
    if (!(options.learning_rate > 0 && options.learning_rate <= 1)) {
        return Error(ErrorCode::invalid_argument,
                     fmt::format("--lr is {}, not within 0 … 1", options.learning_rate))
            .mend("0.003 suits most texts");
    }
    return std::optional<Options>(options);
}

}  // namespace char_lm
