"""Starts the real mpitrain in a place of its own, and tells what a run left behind.

A Sandbox has its own state, lock and log directories, and marks every process that is started in it by a variable in
the environment, which is inherited by whatever a rank forks. So "nothing is left" is a search of /proc for the mark,
however the processes detached themselves. Everything has a deadline; processes are killed by their ids only.
"""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARK = "CAMPAIGN_MARK"  # not MPITRAIN_…: those do not reach the ranks
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNS = 0x20000
OURS = ("MPITRAIN_", "OMPI_", "PMIX_", "SLURM_", "XDG_")  # what must not leak in from outside
SHARED_MEMORY = ("mpitrain-*", "vader_segment.*", "sm_segment.*", "osc_rdma.*", "ompi*", "psm2*", "ucx*")
SESSIONS = ("mpitrain-*", "ompi.*", "openmpi-sessions-*", "pmix-*", "prte.*")


def find_build():
    """The build that is tested: $MPITRAIN_BUILD, else the newest one that has the product and the programs."""
    if os.environ.get("MPITRAIN_BUILD"):
        return Path(os.environ["MPITRAIN_BUILD"]).resolve()
    candidates = [p.parents[1] for p in ROOT.glob("build/*/programs/fault") if (p.parents[1] / "bin/mpitrain").exists()]
    if not candidates:
        sys.exit("no build found: run scripts/test once, or set MPITRAIN_BUILD")
    return max(candidates, key=lambda build: (build / "bin/mpitrain").stat().st_mtime)


class Deadline:
    """Bounds a wait: `while deadline.waits(): ...` polls, and fails with `what` when time is up."""

    def __init__(self, seconds, what):
        self.end = time.monotonic() + seconds
        self.what = what

    def waits(self, period=0.005):
        if time.monotonic() > self.end:
            raise TimeoutError(f"not within the deadline: {self.what}")
        reap()
        time.sleep(period)
        return True


class Run:
    """One `mpitrain run` (or any command) and what it wrote."""

    def __init__(self, process, directory):
        self.process = process
        self.pid = process.pid
        self.directory = directory
        self.started = time.time()

    def ended(self):
        reap()
        return self.process.returncode is not None

    def wait(self, seconds=60):
        """The exit code; killed by signal n is -n."""
        deadline = Deadline(seconds, f"the end of a run, output in {self.directory}")
        while not self.ended():
            try:
                deadline.waits()
            except TimeoutError as error:
                raise TimeoutError(f"{error}\n{self.stderr()[-1000:]}\n{self.events()[-8:]}") from None
        return self.process.returncode

    def stdout(self):
        return (self.directory / "stdout").read_text(errors="replace")

    def stderr(self):
        return (self.directory / "stderr").read_text(errors="replace")

    def result(self):
        """The result file, or None."""
        path = self.directory / "result.json"
        return json.loads(path.read_text()) if path.exists() else None

    def events(self, name=None):
        """What events.jsonl holds so far; a last line that is being written is left out."""
        path = self.directory / "events.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        events = [json.loads(line) for line in lines if line.endswith("\n")]
        return [e for e in events if name is None or e["event"] == name]

    def await_event(self, name, count=1, seconds=30, attempt=None):
        deadline = Deadline(seconds, f"{count} x {name}; {self.directory}:\n{self.stderr()[-2000:]}")
        while True:
            found = [e for e in self.events(name) if attempt is None or e.get("attempt") == attempt]
            if len(found) >= count:
                return found
            if self.ended() and len(self.events(name)) < count:
                raise RuntimeError(f"ended with {self.process.returncode} before {count} x {name}:\n{self.stderr()[-2000:]}")
            deadline.waits()


_runs = {}


def reap():
    """Takes every dead child, also those that were re-parented to us, as init would."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid in _runs:
            _runs.pop(pid).returncode = os.waitstatus_to_exitcode(status)


def become_subreaper():
    # Where process 1 is no init, re-parented zombies would stay for ever and look like leftovers.
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def take_private_folders():
    """As root: a /dev/shm and /tmp of our own, so that what others make there is not taken for a leftover."""
    if os.geteuid() != 0 or os.environ.get("MPITRAIN_TEST_PRIVATE"):
        return
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        return
    os.environ["MPITRAIN_TEST_PRIVATE"] = "1"
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    for folder in ("/dev/shm", "/tmp"):
        if not str(ROOT).startswith(folder + "/"):
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "campaign", folder], check=True)


class Sandbox:
    def __init__(self, build=None, where=None):
        become_subreaper()
        take_private_folders()
        self.build = Path(build).resolve() if build else find_build()
        where = Path(where or self.build / "campaigns")
        where.mkdir(exist_ok=True)
        self.path = Path(tempfile.mkdtemp(prefix="campaign-", dir=where))
        self.path.chmod(0o755)
        self.mark = uuid.uuid4().hex
        self.count = 0
        self.files_before = set(self._files())
        for name in ("state", "home", "lock"):
            (self.path / name).mkdir()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for pid in self.processes():
            kill(pid, signal.SIGKILL)
        if kind is None:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            print(f"left for a look: {self.path}", file=sys.stderr)

    @property
    def mpitrain(self):
        return str(self.build / "bin/mpitrain")

    def program(self, name):
        return str(self.build / "programs" / name)

    def environment(self, **more):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
        kept.update({MARK: self.mark, "XDG_STATE_HOME": str(self.path / "state"), "HOME": str(self.path / "home"),
                     "MPITRAIN_LOCK_DIR": str(self.path / "lock"), "LC_ALL": "C.UTF-8"})
        kept.update({k: str(v) for k, v in more.items()})
        return kept

    def new_directory(self):
        self.count += 1
        directory = self.path / f"run-{self.count}"
        directory.mkdir()
        directory.chmod(0o777)  # for other users' runs
        return directory

    def start(self, command, environment=None, before=(), stdout=None, directory=None):
        """Starts a command; stdout and stderr go to files. `before`: a command that runs it, such as setpriv."""
        directory = directory or self.new_directory()
        with open(directory / "stdout", "ab") as out, open(directory / "stderr", "ab") as err:
            process = subprocess.Popen([*before, *map(str, command)], env=environment or self.environment(),
                                       stdin=subprocess.DEVNULL, stdout=stdout or out, stderr=err, cwd=directory,
                                       start_new_session=True)
        run = Run(process, directory)
        _runs[process.pid] = process
        return run

    def command(self, begin, rest, environment=None, before=(), directory=None, stdout=None):
        """mpitrain `begin` `rest`, which is a run; with a result and an event file."""
        directory = directory or self.new_directory()
        files = ["--result", directory / "result.json", "--events", directory / "events.jsonl"]
        line = [self.mpitrain, begin[0], *files, *begin[1:], *rest]
        return self.start(line, environment, before, stdout, directory)

    def run(self, options, command, environment=None, before=(), directory=None, stdout=None):
        """`mpitrain run` of one command."""
        return self.command(["run", *options, "--"], command, environment, before, directory, stdout)

    def processes(self):
        """Ids of the live processes that bear our mark."""
        wanted = f"{MARK}={self.mark}".encode()
        return [pid for pid in all_processes() if wanted in environment_of(pid)]

    def _files(self):
        for folder, patterns in (("/dev/shm", SHARED_MEMORY), ("/tmp", SESSIONS)):
            for pattern in patterns:
                yield from map(str, Path(folder).glob(pattern))

    def leftovers(self):
        """What is there now and should not be, for people: processes, shared memory, session directories."""
        reap()
        found = [f"process {pid} ({command_of(pid)})" for pid in self.processes()]
        return found + sorted(set(self._files()) - self.files_before)

    def forget(self):
        """Takes what is left as given, so that it is one round's miss and not every later one's."""
        for pid in self.processes():
            kill(pid, signal.SIGKILL)
        self.files_before |= set(self._files())

    def await_clean(self, seconds=5):
        """Seconds until nothing is left, and what is left after `seconds`."""
        begin = time.monotonic()
        while True:
            left = self.leftovers()
            passed = time.monotonic() - begin
            if not left or passed > seconds:
                return passed, left
            time.sleep(0.02)


def all_processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def environment_of(pid):
    """b"" for a process that is gone, a zombie, or not ours to read."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()[:80]
    except OSError:
        return "gone"


def parent_of(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError):
        return 0


def kill(pid, number):
    """True if there was something to send to."""
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


class Cast:
    """Who is who among the processes of one run."""

    def __init__(self, sandbox, run):
        self.mpitrain = [run.pid]
        self.engine, self.engine_guard, self.guards, self.agents, self.programs = [], [], [], [], []
        agents = []
        for pid in sandbox.processes():
            command = command_of(pid)
            name = os.path.basename(command.split(" ")[0]) if command else ""
            if name == "mpirun" or name == "orterun":
                self.engine.append(pid)
            elif name == "mpitrain-rank" and " --guard" in command:
                self.engine_guard.append(pid)
            elif name == "mpitrain-rank":
                agents.append(pid)
            elif name != "mpitrain":
                self.programs.append(pid)
        for pid in agents:
            (self.agents if parent_of(pid) in agents else self.guards).append(pid)


# --- statistics and reports ---


def percentile(values, share):
    """The smallest value with at least `share` of all values at or below it."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)] if ordered else float("nan")


def table(rows, header):
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, *rows]:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip())
