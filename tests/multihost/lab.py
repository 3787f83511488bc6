"""Real runs of the real mpitrain over several virtual hosts: a Sandbox (tests/integration) with Hosts."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from harness import Deadline, Sandbox, command_of, environment_of, kill, reap  # noqa: E402
from hosts import Hosts, skip_unless_possible  # noqa: E402,F401

HEARTBEAT = 2.0


class Lab:
    """`count` hosts, and runs that are started on the first one of them."""

    def __init__(self, build=None, count=3, **more):
        self.sandbox = Sandbox(build)
        self.hosts = Hosts(self.sandbox.path / "hosts", count, **more)

    def __enter__(self):
        self.sandbox.__enter__()
        try:
            self.hosts.__enter__()
        except BaseException:
            self.sandbox.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *error):
        self.hosts.close()
        self.sandbox.__exit__(*error)

    def environment(self, **more):
        # The hosts share this machine's few cores, which none of them can know.
        return self.sandbox.environment(OMPI_MCA_mpi_yield_when_idle=1, **more)

    def options(self, where, *more, heartbeat=HEARTBEAT):
        return ["--host", where, "--device", "cpu", "--ssh-arg=-F", f"--ssh-arg={self.hosts.ssh_config}",
                "--heartbeat", f"{heartbeat}s", *more]

    def run(self, where, options, command, on="h1", environment=None, heartbeat=HEARTBEAT):
        """`mpitrain run --host WHERE` on the host `on`."""
        return self.sandbox.run(self.options(where, *options, heartbeat=heartbeat), command, environment or self.environment(),
                                before=self.hosts.inside(on, []))

    def program(self, name):
        return self.sandbox.program(name)

    def steps(self, *arguments):
        return [self.program("steps"), *arguments]

    def left(self):
        """What is left on all hosts that are on, for people."""
        reap()
        found = []
        for name in self.hosts.names:
            found += [f"{name}: process {pid} ({command_of(pid)})" for pid in self.hosts.processes(name)]
            found += [f"{name}: {path}" for path in self.hosts.files(name)]
        return found

    def await_clean(self, seconds=5):
        """Seconds until nothing is left on any host, and what is left after `seconds`."""
        begin = time.monotonic()
        while True:
            left = self.left()
            passed = time.monotonic() - begin
            if not left or passed > seconds:
                return passed, left
            time.sleep(0.05)

    def processes(self, host, name):
        """Ids, seen from outside, of the processes on a host with this program's name."""
        return [pid for pid in self.hosts.processes(host) if comm_of(pid) == name[:15]]

    def program_of(self, host, rank, name="steps"):
        """The id of a rank's program on its host."""
        for pid in self.processes(host, name):
            if f"\0RANK={rank}\0".encode() in b"\0" + environment_of(pid):
                return pid
        raise RuntimeError(f"rank {rank} does not run on {host}")


def comm_of(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def seconds_of(event):
    from datetime import datetime
    return datetime.fromisoformat(event["t"].replace("Z", "+00:00")).timestamp()
