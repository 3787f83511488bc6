#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "mpitrain/settings/job_options.hpp"
#include "mpitrain/settings/layers.hpp"

// A command line, one word a line: any job that comes out of it is a valid one.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace mpitrain;
    std::vector<std::string> words(1);
    for (std::size_t i = 0; i < size; ++i) {
        if (data[i] == '\n') {
            words.emplace_back();
        } else {
            words.back() += static_cast<char>(data[i]);
        }
    }
    settings::OptionSet set;
    settings::append(set, settings::job_options());
    const auto line = settings::scan(set, words, settings::Order::options_first);
    if (!line) {
        return 0;
    }
    const auto commands = settings::split_groups(line->rest);
    if (!commands) {
        return 0;
    }
    const auto job =
        settings::make_job(settings::flags_layer(line->given), *commands, {"/here", "/home"});
    if (job && !validate(*job)) {
        std::abort();
    }
    return 0;
}
