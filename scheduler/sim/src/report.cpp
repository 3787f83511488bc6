#include "mpitrain/sim/report.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace mpitrain::sim {

Summary summarise(std::vector<double> values) {
    Summary summary;
    summary.count = values.size();
    if (values.empty()) {
        return summary;
    }
    std::sort(values.begin(), values.end());
    const auto at = [&](double share) {
        const auto rank =
            static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())));
        return values[std::max<std::size_t>(rank, 1) - 1];
    };
    double sum = 0;
    for (const double value : values) {
        sum += value;
    }
    summary.mean = sum / static_cast<double>(values.size());
    summary.p50 = at(0.5);
    summary.p95 = at(0.95);
    summary.max = values.back();
    return summary;
}

Report make_report(std::string_view policy, const SimOptions& options, SimResult result) {
    Report report;
    report.policy = policy;
    report.seed = options.seed;
    report.preemption_cost_s = std::chrono::duration<double>(options.preemption_cost).count();
    report.estimates = to_string(result.estimates);
    std::vector<double> completion;
    std::vector<double> wait;
    std::vector<double> gang_delay;
    for (const JobOutcome& job : result.jobs) {
        completion.push_back(job.completion_s());
        wait.push_back(job.wait_s());
        if (job.gpus > gang_threshold_gpus) {
            gang_delay.push_back(job.delay_s());
        }
    }
    report.completion = summarise(std::move(completion));
    report.wait = summarise(std::move(wait));
    report.gang_delay = summarise(std::move(gang_delay));
    const double all = result.span_s * result.total_gpus;
    report.utilisation = all > 0 ? result.busy_gpu_s / all : 0;
    report.idle_while_queued = all > 0 ? result.idle_while_queued_gpu_s / all : 0;
    report.decisions_per_s =
        result.step_wall_s > 0 ? static_cast<double>(result.steps) / result.step_wall_s : 0;
    report.result = std::move(result);
    return report;
}

std::string to_json(const Report& report) {
    const SimResult& result = report.result;
    const nlohmann::ordered_json json = {
        {"schema", "mpitrain.sim/1"},
        {"policy", report.policy},
        {"seed", report.seed},
        {"preemption_cost_s", report.preemption_cost_s},
        {"estimates", report.estimates},
        {"jobs", result.jobs.size()},
        {"rejected", result.rejected},
        {"gpus", result.total_gpus},
        {"jct_s",
         {{"mean", report.completion.mean},
          {"p50", report.completion.p50},
          {"p95", report.completion.p95},
          {"max", report.completion.max}}},
        {"wait_s",
         {{"mean", report.wait.mean}, {"p95", report.wait.p95}, {"max", report.wait.max}}},
        {"gang_delay_s",
         {{"threshold_gpus", gang_threshold_gpus},
          {"count", report.gang_delay.count},
          {"mean", report.gang_delay.mean},
          {"max", report.gang_delay.max}}},
        {"utilisation", report.utilisation},
        {"idle_while_queued", report.idle_while_queued},
        {"preemptions", result.preemptions},
        {"nodes_lost", result.nodes_lost},
        {"decisions_per_s", report.decisions_per_s},
        {"decisions_digest", result.decisions_digest},
        {"checker_violations", result.checker_violations},
        {"first_violation", result.first_violation}};
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace mpitrain::sim
