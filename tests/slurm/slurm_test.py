#!/usr/bin/env python3
"""`mpitrain submit --on slurm`, `mpitrain job` and `mpitrain run` inside of an allocation, on a real Slurm.

    slurm_test.py [CASE]...      MPITRAIN_BUILD=the build's folder

Exits 77 where this machine has no Slurm to start.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import lab

BUILD = Path(os.environ.get("MPITRAIN_BUILD", Path(__file__).resolve().parents[2] / "build/dev"))
MPITRAIN = BUILD / "bin/mpitrain"
CHAR_LM = BUILD / "bin/char-lm"
STEPS = BUILD / "programs/steps"
RANKS = ["-n", "2", "--device", "cpu", "--oversubscribe"]
LONG = ["--steps", "400", "--step-us", "15000", "--every", "50"]  # six seconds
TERMINAL = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")


class OnSlurm(unittest.TestCase):
    """All cases share one Slurm; each has a directory of its own."""

    @classmethod
    def setUpClass(cls):
        cls.slurm = lab.Lab(nodes=2, kill_wait=6)
        cls.slurm.__enter__()
        cls.addClassCleanup(cls.slurm.close)

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="mpitrain-slurm-case-")
        self.addCleanup(directory.cleanup)
        self.place = Path(directory.name)
        self.environment = {
            "MPITRAIN_LOCK_DIR": str(self.place / "locks"),
            "XDG_STATE_HOME": str(self.place / "state"),
        }
        (self.place / "locks").mkdir()
        self.addCleanup(self.cancel_all)

    def cancel_all(self):
        for name in self.slurm.run("squeue", "-h", "-o", "%A").stdout.split():
            self.slurm.run("scancel", name, check=False)
        self.slurm.wait_for(lambda: not self.slurm.run("squeue", "-h").stdout.strip(), 60)

    def mpitrain(self, *words, check=True, env=None):
        return self.slurm.run(MPITRAIN, *words, check=check, env=self.environment | (env or {}), cwd=self.place)

    def submit(self, *words, **options):
        said = self.mpitrain("submit", "--on", "slurm", *words, **options).stdout
        self.assertRegex(said, r"\Aslurm:\d+\n\Z")
        return said.strip()

    def steps(self, *options, program=()):
        """A training program that leaves its last state in a file."""
        words = [*RANKS, "--checkpoint-dir", self.place / "checkpoints", *options, "--"]
        return self.submit(*words, STEPS, *LONG, "--result", self.place / "state.hex", *program)

    def number(self, job):
        return job.removeprefix("slurm:")

    def log(self, job):
        path = self.place / f"mpitrain-{self.number(job)}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_for_log(self, job, text, seconds=60):
        self.slurm.wait_for(lambda: text in self.log(job), seconds, lambda: self.log(job))

    def finish(self, job, seconds=120):
        """Waits for the end; a requeued job starts again some seconds later (cred_expire)."""
        return self.slurm.wait_for_state(self.number(job), *TERMINAL, seconds=seconds)

    def committed(self):
        return len(list((self.place / "checkpoints").glob("step-*/manifest.json")))

    def unbroken(self):
        """The state of the same training that nobody stops, outside of Slurm."""
        result = self.place / "unbroken.hex"
        self.mpitrain("run", *RANKS, "--", STEPS, *LONG, "--step-us", "0", "--result", result)
        return result.read_text()


class Submit(OnSlurm):
    def test_a_real_training_has_the_loss_of_a_run_without_slurm(self):
        train = [CHAR_LM, "--data", __file__, "--steps", "60", "--batch", "32", "--hidden", "16", "--samples", "2"]
        job = self.submit(*RANKS, "--", *train)
        self.assertEqual(self.mpitrain("job", "wait", job, check=False).returncode, 0, self.log(job))
        here = self.mpitrain("run", *RANKS, "--", *train).stdout
        loss = re.compile(r"final loss .*")
        self.assertEqual(loss.findall(self.log(job)), loss.findall(here))
        self.assertEqual(len(loss.findall(here)), 1)

    def test_slurm_is_asked_for_the_jobs_shape(self):
        job = self.submit("-n", "3", "--nodes", "1", "--cpus-per-rank", "1", "--oversubscribe", "--", "sleep", "30")
        self.slurm.wait_for_state(self.number(job), "RUNNING")
        found = self.slurm.job(self.number(job))
        self.assertEqual((found["tasks"], found["cpus"], found["node_count"], found["name"]), (3, 3, 1, "sleep"))
        self.assertIn("gres:gpu:3", found["tres_per_job"] + found["tres_per_node"])

    def test_the_plan_is_what_is_submitted_and_submits_nothing(self):
        before = self.slurm.run("squeue", "-h", "-t", "all").stdout
        plan = self.mpitrain("plan", "--on", "slurm", "-n", "2", "--device", "cpu", "--", "sleep", "1").stdout
        self.assertTrue(plan.startswith("#!/bin/bash\n#SBATCH --job-name=sleep\n"), plan)
        self.assertTrue(plan.endswith(f"exec {MPITRAIN} run -n 2 --device cpu -- sleep 1\n"), plan)
        self.assertEqual(self.slurm.run("squeue", "-h", "-t", "all").stdout, before)

    def test_hostile_words_reach_the_program_and_no_shell(self):
        words = ["$(touch pwned)", "`touch pwned`", "a'b\"c", "", "two\nlines", "ü|;&", "x" * 10000]
        leave = "import sys, json; open('words', 'w').write(json.dumps(sys.argv[1:]))"
        name = "we|ird \"na'me $(touch pwned);"
        job = self.submit("-n", "1", "--device", "cpu", "--name", name, "--", sys.executable, "-c", leave, *words)
        self.assertEqual(self.mpitrain("job", "wait", job, check=False).returncode, 0, self.log(job))
        self.assertEqual(json.loads((self.place / "words").read_text()), words)
        self.assertFalse((self.place / "pwned").exists())
        shown = json.loads(self.mpitrain("job", "show", job, "--output", "json").stdout)
        self.assertEqual((shown["schema"], shown["state"], shown["name"]), ("mpitrain.job/1", "succeeded", name))
        self.slurm.run("sbatch", "-J", "two\nlines|\x1b[31m", "-o", "/dev/null", "--wrap", "true", cwd=self.place)
        listed = self.mpitrain("job", "list").stdout
        self.assertIn(job, listed)
        self.assertIn("two?lines|?[31m", listed)

    def test_what_slurm_refuses_is_one_line_with_a_mend(self):
        for words, said in (
            (["--queue", "nowhere"], "partition"),
            (["--gpu-type", "h900"], "not available"),
            (["--sbatch-arg=--no-such-option"], "no-such-option"),
        ):
            refused = self.mpitrain("submit", "--on", "slurm", "-n", "1", *words, "--", "true", check=False)
            self.assertEqual((refused.returncode, refused.stdout), (125, ""), refused.stderr)
            self.assertRegex(refused.stderr, r"\Ampitrain: error: .*\(.*mpitrain plan --on slurm.*\)\n\Z")
            self.assertIn(said, refused.stderr.lower())


class Stop(OnSlurm):
    def test_a_notice_before_the_limit_commits_requeues_and_resumes(self):
        job = self.steps()
        self.slurm.wait_for(lambda: self.committed() >= 2, 60, lambda: self.log(job))
        self.slurm.run("scancel", "--batch", "--signal=TERM", self.number(job))
        self.wait_for_log(job, f"job {self.number(job)} is back in Slurm's queue")
        self.assertEqual(self.finish(job), "COMPLETED", self.log(job))
        self.assertEqual((self.place / "state.hex").read_text(), self.unbroken())
        self.assertIn("stopped at step", self.log(job))
        self.assertEqual(self.slurm.job(self.number(job))["restart_cnt"], 1)

    def test_a_preempted_job_gives_way_and_resumes(self):
        job = self.steps("--nodes", "1", "--sbatch-arg=--exclusive", "--sbatch-arg=--nodelist=n1")
        self.slurm.wait_for(lambda: self.committed() >= 2, 60, lambda: self.log(job))
        words = ["-n", "1", "--device", "cpu", "--oversubscribe", "--queue", "urgent", "--nodes", "1"]
        urgent = self.submit(*words, "--sbatch-arg=--exclusive", "--sbatch-arg=--nodelist=n1", "--", "sleep", "1")
        self.assertEqual(self.mpitrain("job", "wait", urgent, check=False).returncode, 0, self.log(urgent))
        self.assertEqual(self.finish(job), "COMPLETED", self.log(job))
        self.assertEqual((self.place / "state.hex").read_text(), self.unbroken())
        self.assertIn("Slurm is ending job", self.log(job))

    def test_a_cancelled_job_commits_and_stays_cancelled(self):
        job = self.steps()
        self.slurm.wait_for(lambda: self.committed() >= 1, 60, lambda: self.log(job))
        self.mpitrain("job", "cancel", job)
        self.assertEqual(self.slurm.wait_for_state(self.number(job), *TERMINAL, seconds=20), "CANCELLED")
        self.wait_for_log(job, "Slurm is ending job")
        self.assertIn("stopping within", self.log(job))  # KillWait is shorter than the grace
        self.assertEqual(self.slurm.job(self.number(job))["restart_cnt"], 0)
        self.assertGreaterEqual(self.committed(), 1)

    def test_it_is_not_requeued_beyond_the_limit(self):
        job = self.steps("--max-requeues", "0")
        self.slurm.wait_for(lambda: self.committed() >= 1, 60, lambda: self.log(job))
        self.slurm.run("scancel", "--batch", "--signal=TERM", self.number(job))
        self.assertEqual(self.slurm.wait_for_state(self.number(job), *TERMINAL), "FAILED")
        self.assertIn("--max-requeues 0 is reached", self.log(job))
        self.assertEqual(self.mpitrain("job", "wait", job, check=False).returncode, 75)

    def test_a_killed_rank_is_started_again_in_the_allocation(self):
        job = self.steps()
        self.slurm.wait_for(lambda: self.committed() >= 1, 60, lambda: self.log(job))
        victims = [pid for pid in os.listdir("/proc") if pid.isdigit() and self.is_rank(pid)]
        os.kill(int(victims[0]), signal.SIGKILL)
        self.assertEqual(self.mpitrain("job", "wait", job, check=False).returncode, 0, self.log(job))
        self.assertEqual((self.place / "state.hex").read_text(), self.unbroken())
        self.assertEqual(self.slurm.job(self.number(job))["restart_cnt"], 0)

    def is_rank(self, pid):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
        return command.startswith(os.fsencode(STEPS)) and os.fsencode(self.place) in command


class Job(OnSlurm):
    def test_a_waiting_job_is_explained_held_and_released(self):
        first = self.submit("-n", "1", "--device", "cpu", "--sbatch-arg=--begin=now+1hour", "--", "true")
        said = self.mpitrain("job", "explain", first).stdout
        self.assertIn("its start was put off", said)
        job = self.submit("-n", "1", "--device", "cpu", "--after", first, "--", "true")
        self.slurm.wait_for(lambda: "Dependency" in self.mpitrain("job", "explain", job).stdout, 20)
        self.mpitrain("job", "hold", job)
        self.assertEqual(self.mpitrain("job", "show", job, "--output", "quiet").stdout, "held\n")
        self.mpitrain("job", "release", job)
        self.mpitrain("job", "cancel", first)
        self.assertEqual(self.slurm.wait_for_state(self.number(job), *TERMINAL), "CANCELLED")

    def test_logs_are_followed_to_the_end(self):
        job = self.submit("-n", "1", "--device", "cpu", "--", "sh", "-c", "echo one; sleep 2; echo two")
        said = self.mpitrain("job", "logs", "--follow", job).stdout
        self.assertRegex(said, r"one\n(.*\n)*.*two\n")

    def test_the_exit_code_of_wait_is_the_jobs(self):
        job = self.submit("-n", "1", "--device", "cpu", "--", "sh", "-c", "exit 7")
        self.assertEqual(self.mpitrain("job", "wait", job, check=False).returncode, 7)
        late = self.submit("-n", "1", "--device", "cpu", "--sbatch-arg=--begin=now+1hour", "--", "true")
        waited = self.mpitrain("job", "wait", "--timeout", "1s", late, check=False)
        self.assertEqual(waited.returncode, 125)
        self.assertIn("is still pending", waited.stderr)

    def test_bad_ids_are_one_line(self):
        for words, code in ((["show", "42"], 2), (["show", "slurm:-1"], 2), (["show", "slurm:99999"], 125), (["look"], 2)):
            refused = self.mpitrain("job", *words, check=False)
            self.assertEqual(refused.returncode, code, refused.stderr)
            self.assertRegex(refused.stderr, r"\Ampitrain: error: .*\(.*\)\n\Z")


class Allocation(OnSlurm):
    def test_salloc_gives_the_number_of_ranks(self):
        words = ["salloc", "-Q", "-n", "3", "-N", "1", MPITRAIN, "run", "--device", "cpu", "--oversubscribe", "--"]
        said = self.slurm.run(*words, "sh", "-c", "echo $RANK of $WORLD_SIZE", env=self.environment, cwd=self.place)
        self.assertEqual(sorted(re.findall(r"\d of \d", said.stdout)), ["0 of 3", "1 of 3", "2 of 3"])

    def test_more_ranks_than_were_given_are_refused(self):
        words = ["salloc", "-Q", "-n", "1", "-N", "1", MPITRAIN, "run", "-n", "2", "--device", "cpu", "--", "true"]
        said = self.slurm.run(*words, env=self.environment, cwd=self.place, check=False)
        self.assertEqual(said.returncode, 3, said.stderr)
        self.assertIn("room for 1", said.stderr)

    def test_ranks_of_srun_start_no_jobs(self):
        words = ["srun", "-Q", "-n", "2", "-N", "1", "--mpi=none", MPITRAIN, "run", "--", "true"]
        said = self.slurm.run(*words, env=self.environment, cwd=self.place, check=False)
        self.assertEqual(said.returncode, 2, said.stderr)
        self.assertIn("start it once, without srun", said.stderr)


class Absent(unittest.TestCase):
    def run_without_slurm(self, environment):
        words = [str(MPITRAIN), "submit", "--on", "slurm", "-n", "1", "--device", "cpu", "--", "true"]
        kept = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": 90}
        with tempfile.TemporaryDirectory() as place:
            return subprocess.run(words, cwd=place, env=environment, check=False, **kept)

    def test_no_slurm_is_one_line_with_the_mend(self):
        said = self.run_without_slurm({"PATH": "/nonexistent"})
        self.assertEqual((said.returncode, said.stdout), (125, ""))
        self.assertRegex(said.stderr, r"\Ampitrain: error: there is no sbatch here \(.*slurm-client\)\n\Z")

    def test_a_controller_that_is_gone_is_one_line(self):
        with tempfile.TemporaryDirectory() as place:
            config = Path(place) / "slurm.conf"
            lines = ["ClusterName=x", "SlurmctldHost=localhost(127.0.0.1)", "SlurmctldPort=1", "AuthType=auth/none"]
            lines += ["NodeName=a", "PartitionName=p Nodes=a", "MessageTimeout=2", ""]
            config.write_text("\n".join(lines))
            said = self.run_without_slurm(os.environ | {"SLURM_CONF": str(config)})
        self.assertEqual((said.returncode, said.stdout), (125, ""), said.stderr)
        self.assertRegex(said.stderr.splitlines()[-1], r"\Ampitrain: error: .*scontrol ping.*\Z")


def main():
    lacking = lab.missing()
    if lacking:
        print(f"SKIP: {lacking}")
        return 77
    program = unittest.main(exit=False, verbosity=2)
    return 0 if program.result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
