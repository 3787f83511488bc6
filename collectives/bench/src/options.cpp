#include "options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <sstream>

#include "mpitrain/base/bytes.hpp"

namespace mpitrain::collectives::bench {

namespace {

namespace po = boost::program_options;

constexpr std::size_t bytes_most = std::size_t{2} << 30;  // within MPI's int, one byte an element

po::options_description describe() {
    po::options_description all("Options");
    const auto text = [](const char* standard) {
        return po::value<std::string>()->default_value(standard);
    };
    auto add = all.add_options();
    add("help,h", "show this text");
    add("begin,b", text("4KiB"), "the smallest size");
    add("end,e", text("256MiB"), "the largest size");
    add("factor,f", po::value<int>()->default_value(4), "from one size to the next");
    add("type,t", text("f32"), "f64 f32 f16 bf16 i32 i64 u8");
    add("op", text("sum"), "sum prod min max avg");
    add("rounds", po::value<int>()->default_value(7), "how often each size is measured");
    add("no-compare", "leave out MPI's own");
    add("no-shared-memory", "send everything through MPI");
    add("huge", "verify: sizes beyond 2^31 bytes too; each rank holds 4 GiB");
    add("output", text("table"), "table json quiet");
    return all;
}

// The value whose to_string() is `name`.
template <typename T, std::size_t n>
Result<T> named(const T (&all)[n], const std::string& name, std::string_view option) {
    const auto* found =
        std::find_if(std::begin(all), std::end(all), [&](T one) { return to_string(one) == name; });
    if (found == std::end(all)) {
        return Error(ErrorCode::invalid_argument, fmt::format("'{}' is not known", name))
            .at(option);
    }
    return *found;
}

Result<std::size_t> size_option(const po::variables_map& given, const char* name) {
    MPITRAIN_TRY(const Bytes bytes, Bytes::parse(given[name].as<std::string>()));
    if (bytes.count() == 0 || bytes.count() > bytes_most) {
        return Error(ErrorCode::invalid_argument, "is not within 1 and 2 GiB")
            .at(fmt::format("--{}", name));
    }
    return static_cast<std::size_t>(bytes.count());
}

Result<Options> read(const po::variables_map& given) {
    using enum DataType;
    constexpr DataType types[] = {f64, f32, f16, bf16, i32, i64, u8};
    constexpr ReduceOp ops[] = {
        ReduceOp::sum, ReduceOp::prod, ReduceOp::min, ReduceOp::max, ReduceOp::avg};
    Options options;
    const auto& verb = given["verb"].as<std::string>();
    options.overlap = verb == "overlap";
    options.verify = verb == "verify";
    options.repeat = verb == "repeat";
    options.preflight = verb == "preflight";
    const bool other = options.overlap || options.verify || options.repeat || options.preflight;
    options.huge = given.count("huge") > 0;
    if (!other) {
        MPITRAIN_TRY(options.plan.verb, named(all_verbs, verb, "the collective"));
    }
    MPITRAIN_TRY(options.plan.bytes_min, size_option(given, "begin"));
    MPITRAIN_TRY(options.plan.bytes_max, size_option(given, "end"));
    MPITRAIN_TRY(options.plan.type, named(types, given["type"].as<std::string>(), "--type"));
    MPITRAIN_TRY(options.plan.op, named(ops, given["op"].as<std::string>(), "--op"));
    const int factor = given["factor"].as<int>();
    options.plan.rounds = given["rounds"].as<int>();
    if (factor < 2 || options.plan.rounds < 1 || options.plan.rounds > 10000) {
        return Error(ErrorCode::invalid_argument, "--factor is below 2, or --rounds below 1");
    }
    options.plan.factor = static_cast<std::size_t>(factor);
    options.plan.compare = given.count("no-compare") == 0;
    options.shared_memory = given.count("no-shared-memory") == 0;
    const auto& output = given["output"].as<std::string>();
    if (output != "table" && output != "json" && output != "quiet") {
        return Error(ErrorCode::invalid_argument, "is not table, json or quiet").at("--output");
    }
    options.format = output == "json"    ? Format::json
                     : output == "quiet" ? Format::quiet
                                         : Format::table;
    return options;
}

}  // namespace

Result<std::optional<Options>> parse_options(int argc, const char* const* argv, std::string& help) {
    po::options_description shown = describe();
    po::options_description all;
    all.add_options()("verb", po::value<std::string>()->default_value("allreduce"));
    all.add(shown);
    po::variables_map given;
    try {
        constexpr int exact =
            po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
        const auto words = po::positional_options_description().add("verb", 1);
        po::store(
            po::command_line_parser(argc, argv).options(all).positional(words).style(exact).run(),
            given);
        po::notify(given);
    } catch (const std::exception& problem) {
        return Error(ErrorCode::invalid_argument, problem.what())
            .mend("see mpitrain bench allreduce --help");
    }
    if (given.count("help") > 0) {
        std::ostringstream text;
        text << "Usage: mpitrain bench allreduce [-n RANKS] [--oversubscribe] [options]\n"
                "       mpirun -np 2 mpitrain-bench-collectives allreduce [options]\n\n"
                "Also reduce, broadcast, reduce_scatter, allgather, all_to_all; overlap: how much "
                "of a\nGradientReducer's work hides behind computation; preflight: whether every "
                "slot "
                "is sound;\nverify: whether all collectives are right; repeat: whether --rounds "
                "runs "
                "with random\ndelays give the same bits.\n\n"
             << shown;
        help = text.str();
        return std::optional<Options>();
    }
    MPITRAIN_TRY(auto options, read(given));
    return std::optional<Options>(options);
}

}  // namespace mpitrain::collectives::bench
