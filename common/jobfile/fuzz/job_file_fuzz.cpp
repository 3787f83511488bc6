#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "mpitrain/jobfile/job_file.hpp"

// A job file or a manifest: any job that comes out of it is a valid one.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace mpitrain;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto file = jobfile::read_job_file(text, "f");
    if (!file) {
        return 0;
    }
    const auto job = settings::make_job(
        file->settings, {file->groups, settings::OriginKind::job_file}, {"/here", "/home"});
    if (job && !validate(*job)) {
        std::abort();
    }
    return 0;
}
