#include "mpitrain/slurm/pending_reason.hpp"

#include <array>
#include <utility>

namespace mpitrain::slurm {
namespace {

using Entry = std::pair<std::string_view, PendingReason>;

constexpr std::array exact = {
    Entry{"Priority", {"jobs of a higher priority wait in front of it", ""}},
    Entry{"Resources", {"it is next, and too few of the resources it asks for are free", ""}},
    Entry{"BeginTime",
          {"its start was put off, as a requeued job's is for a while",
           "scontrol update JobId=ID StartTime=now starts it at once"}},
    Entry{"Dependency", {"a job it comes after has not ended", ""}},
    Entry{"DependencyNeverSatisfied",
          {"a job it comes after has failed: it can never start", "cancel it and submit it anew"}},
    Entry{"JobHeldUser", {"its owner holds it", "mpitrain job release slurm:ID"}},
    Entry{"JobHeldAdmin", {"an administrator holds it", "ask the administrators"}},
    Entry{"JobHoldMaxRequeue",
          {"it was requeued too often", "see why in its log, then mpitrain job release slurm:ID"}},
    Entry{"ReqNodeNotAvail",
          {"a node that it asks for is down, drained or reserved",
           "ask for other nodes, or for none by name"}},
    Entry{"Reservation", {"it waits for its reservation to begin", ""}},
    Entry{"PartitionDown", {"its partition is closed", "choose another with --queue"}},
    Entry{"PartitionInactive", {"its partition starts no jobs now", "choose another with --queue"}},
    Entry{"PartitionNodeLimit",
          {"its partition allows fewer nodes to a job",
           "ask for fewer nodes, or choose another with --queue"}},
    Entry{"PartitionTimeLimit",
          {"its time limit is beyond the partition's",
           "ask for less time, or choose another partition with --queue"}},
    Entry{"NodeDown", {"a node that it needs is down", ""}},
    Entry{"BadConstraints",
          {"no node is as it asks for: it can never start", "cancel it and ask for less"}},
    Entry{"InvalidAccount",
          {"its account does not exist", "give another one: --sbatch-arg --account=NAME"}},
    Entry{"InvalidQOS",
          {"its quality of service does not exist", "give another one: --sbatch-arg --qos=NAME"}},
    Entry{"Licenses", {"too few licences are free", ""}},
    Entry{
        "JobLaunchFailure",
        {"its last start failed on a node", "see the job's log; the administrators see slurmd's"}},
    Entry{"NonZeroExitCode", {"its last run failed", "see the job's log"}},
    Entry{"Cleaning", {"its last run is still being cleared away", ""}},
    Entry{"Prolog", {"the site's prolog prepares its nodes", ""}},
    Entry{"SchedDefer", {"Slurm is busy and starts no job at once", ""}},
    Entry{
        "QOSNotAllowed",
        {"its quality of service is not allowed in the partition", "choose another with --queue"}},
};

}  // namespace

PendingReason explain_pending(std::string_view reason) {
    for (const auto& [word, meaning] : exact) {
        // "ReqNodeNotAvail, UnavailableNodes:n1"
        if (reason == word || reason.starts_with(std::string(word) + ",")) {
            return meaning;
        }
    }
    if (reason.empty() || reason == "None") {
        return {"Slurm has not looked at it yet", ""};
    }
    if (reason.starts_with("QOS")) {
        return {"it would go beyond a limit of its quality of service",
                "wait for your other jobs to end, or ask for less"};
    }
    if (reason.starts_with("Assoc")) {
        return {"it would go beyond a limit of its account",
                "wait for the account's other jobs to end, or ask for less"};
    }
    return {"Slurm gives a reason that mpitrain does not know",
            "see JOB REASON CODES in man squeue"};
}

}  // namespace mpitrain::slurm
