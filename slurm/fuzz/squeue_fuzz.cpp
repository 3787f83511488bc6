#include <cstddef>
#include <cstdint>
#include <string_view>

#include "mpitrain/base/assert.hpp"
#include "mpitrain/slurm/job_record.hpp"

// Whatever squeue prints is read or refused, and what was read can be spoken of.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace mpitrain::slurm;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const auto& jobs : {parse_squeue_json(text), parse_squeue_text(text, "@#@")}) {
        for (std::size_t i = 0; jobs && i < jobs->size(); ++i) {
            const JobRecord& job = (*jobs)[i];
            MPITRAIN_ASSERT(job.id > 0 && !job.state.empty());
            MPITRAIN_ASSERT(!state_word(job).empty());
            MPITRAIN_ASSERT(!has_ended(job) || exit_code_of(job) >= 0);
        }
    }
    return 0;
}
