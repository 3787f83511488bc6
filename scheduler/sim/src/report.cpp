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
    report.share_error = share_error(options.accounts, result.shares);
    report.result = std::move(result);
    return report;
}

ShareError share_error(const scheduler::AccountsSpec& accounts,
                       const std::vector<scheduler::AccountShare>& shares) {
    double weights = 0;
    double usage = 0;
    for (std::size_t i = 0; i < shares.size(); ++i) {
        if (accounts.accounts[i].parent.empty()) {
            weights += accounts.accounts[i].weight;
            usage += shares[i].usage_slot_s;
        }
    }
    ShareError error;
    for (std::size_t i = 0; i < shares.size() && usage > 0; ++i) {
        if (accounts.accounts[i].parent.empty()) {
            const double off =
                std::abs(shares[i].usage_slot_s / usage - accounts.accounts[i].weight / weights);
            error.total += off / 2;
            error.largest = std::max(error.largest, off);
        }
    }
    return error;
}

namespace {

nlohmann::ordered_json answers_json(const Answers& answers) {
    const Summary error = summarise(answers.start_error);
    const Summary error_s = summarise(answers.start_error_s);
    const Summary explain = summarise(answers.explain_us);
    const Summary forecast = summarise(answers.forecast_ms);
    return {{"asked", answers.asked},
            {"without_cause", answers.without_cause},
            {"causes", answers.causes},
            {"explain_us", {{"p50", explain.p50}, {"p95", explain.p95}, {"max", explain.max}}},
            {"forecasts", forecast.count},
            {"forecast_ms", {{"p50", forecast.p50}, {"p95", forecast.p95}, {"max", forecast.max}}},
            {"start_error", {{"p50", error.p50}, {"p95", error.p95}, {"count", error.count}}},
            {"start_error_s", {{"p50", error_s.p50}, {"p95", error_s.p95}}},
            {"without_start", answers.without_start}};
}

nlohmann::ordered_json accounts_json(const Report& report) {
    nlohmann::ordered_json json = {{"share_error", report.share_error.total},
                                   {"share_error_largest", report.share_error.largest},
                                   {"shares", nlohmann::ordered_json::array()}};
    for (const scheduler::AccountShare& share : report.result.shares) {
        json["shares"].push_back({{"account", share.name},
                                  {"usage_gpu_s", share.usage_slot_s},
                                  {"running_gpus", share.running_slots},
                                  {"borrowed_gpus", share.borrowed_slots}});
    }
    return json;
}

}  // namespace

std::string to_json(const Report& report) {
    const SimResult& result = report.result;
    nlohmann::ordered_json json = {
        {"schema", "mpitrain.sim/1"},
        {"policy", report.policy},
        {"seed", report.seed},
        {"preemption_cost_s", report.preemption_cost_s},
        {"estimates", report.estimates},
        {"jobs", result.jobs.size()},
        {"rejected", result.rejected},
        {"unfinished", result.unfinished},
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
    if (result.answers.asked > 0) {
        json["answers"] = answers_json(result.answers);
    }
    if (!result.shares.empty()) {
        json["accounts"] = accounts_json(report);
    }
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace mpitrain::sim
