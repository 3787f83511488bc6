#!/usr/bin/env python3
"""Several machines, over ssh: multihost_test.py NAME --build DIR runs one of the tests below."""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from lab import HEARTBEAT, Deadline, Lab, environment_of, kill, seconds_of, skip_unless_possible

ALL = "h1:2,h2:2,h3:2"


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


def expect_clean(lab, seconds=5):
    passed, left = lab.await_clean(seconds)
    expect(not left, f"after {passed:.1f} s: {left}")


def alone(lab, result, *options):
    """The same training as 6 ranks on one host."""
    run = lab.run("localhost", ["-n", 6, "--oversubscribe"], lab.steps("--result", result, *options))
    expect(run.wait(60) == 0, run.stderr())
    return Path(result).read_text()


def same_bits(lab):
    """Three hosts with two ranks each train to the bits of six ranks on one; all output is here; nothing is left."""
    run = lab.run(ALL, ["-n", 6], lab.steps("--steps", 40, "--result", lab.sandbox.path / "three"))
    expect(run.wait(60) == 0, run.stderr())
    expect_clean(lab)
    expect((lab.sandbox.path / "three").read_text() == alone(lab, lab.sandbox.path / "one", "--steps", 40), "other bits")
    expect("[0] finished at step 40" in run.stdout(), run.stdout())
    logs = next((lab.sandbox.path / "state").rglob("attempt-1"))
    expect("finished at step 40" in (logs / "rank-0.out").read_text(), "rank 0's file")
    expect(sorted(p.name for p in logs.iterdir())[:2] == ["rank-0.err", "rank-0.out"], "files of all ranks")
    expect("10.77.0.0/24" not in run.stdout(), "talk is on stderr")


def environment(lab):
    """Each rank finds itself, rank 0's address, and the submitter's variables; no key is anywhere."""
    run = lab.run("h2:2,h1:1,h3:1", ["-n", 4, "--no-tag"], [lab.program("env")], environment=lab.environment(MINE="yes"))
    expect(run.wait(60) == 0, run.stderr())
    ranks = sorted((json.loads(line) for line in run.stdout().splitlines()), key=lambda r: int(r["environment"]["RANK"]))
    seen = [(r["environment"]["LOCAL_RANK"], r["environment"]["NODE_RANK"]) for r in ranks]
    expect(seen == [("0", "0"), ("1", "0"), ("0", "1"), ("0", "2")], seen)
    for rank in ranks:
        variables = rank["environment"]
        expect(variables["MASTER_ADDR"] == "10.77.0.2", variables["MASTER_ADDR"])
        expect(variables["MASTER_PORT"] not in ("", "0"), "a port")
        expect(variables["MINE"] == "yes", "the submitter's own variable")
        expect(variables["WORLD_SIZE"] == "4" and variables["OMPI_COMM_WORLD_SIZE"] == "4", "sizes")
        expect("MPITRAIN_JOB_KEY" not in variables, "the key")


def bad_input(lab):
    """What cannot be is said of each host by name, soon, and with the exit code of its kind."""
    def refused(where, *options, code, words, seconds=20, begin=()):
        begin_time = time.monotonic()
        run = lab.run(where, list(options), [lab.program("env")])
        found = run.wait(seconds)
        text = run.stderr()
        expect(found == code, f"{where}: exit code {found}\n{text}")
        for word in words:
            expect(word in text, f"{where}: no '{word}' in: {text}")
        return time.monotonic() - begin_time

    refused("h1:1,nowhere:2,neither:2", code=3, words=["nowhere: unknown host", "neither: unknown host"])
    refused("h1:2,10.77.0.1:2", code=2, words=["same machine"])
    refused("h1:2,h2:64", code=3, words=["h2", "64"])
    refused("h1:1,h2:1", "-n", 5, code=3, words=["5 ranks", "h1 1, h2 1"])
    refused("h1:1,h2:1", "--remote-prefix", "/nowhere", code=3, words=["h2: no mpitrain at /nowhere/bin/mpitrain"])
    refused("h1:1,h2:1", "--spares", 2, code=3, words=["--spares"])
    lab.hosts.link("h3", up=False)
    took = refused("h1:1,h3:1,h2:1", code=125, words=["h3: "], seconds=20)
    expect(took < 12, f"an unreachable host took {took:.1f} s")
    lab.hosts.link("h3", up=True)
    # One program that is on one machine only.
    run = lab.run(ALL, ["-n", 6], ["/tmp/only-here"])
    expect(run.wait(30) == 127, run.stderr())
    expect_clean(lab)


def many_lines(lab):
    """A hostfile of 100,000 lines is read, and its unknown hosts are named in bounded time."""
    path = lab.sandbox.path / "many"
    path.write_text("h1\n" * 50_000 + "h2 slots=1\n" * 50_000)
    begin = time.monotonic()
    run = lab.sandbox.command(["plan", "--hostfile", path, "--device", "cpu", "--ssh-arg=-F",
                               f"--ssh-arg={lab.hosts.ssh_config}"], ["-n", "2", lab.program("env")],
                              lab.environment(), before=lab.hosts.inside("h1", []))
    expect(run.wait(30) == 3, run.stderr())  # 50,000 ranks on two cores
    expect(time.monotonic() - begin < 15, "too slow")


def killed_rank(lab):
    """A rank that dies is named with its host; the next attempt goes on from the commit, to the same bits."""
    checkpoints = lab.sandbox.path / "checkpoints"
    run = lab.run(ALL, ["-n", 6, "--checkpoint-dir", checkpoints, "--max-restarts", 1],
                  lab.steps("--steps", 150, "--step-us", 5000, "--result", lab.sandbox.path / "three"))
    run.await_event("checkpoint.committed")
    victim = lab.program_of("h2", 3)
    begin = time.time()
    kill(victim, signal.SIGKILL)
    again = run.await_event("rank.started", 6, attempt=2)
    ended = run.events("attempt.ended")[0]
    expect("rank 3 on h2 was killed by signal 9" in ended["verdict"], ended)
    running = max(map(seconds_of, again)) - begin
    print(f"from the kill until all ranks of the next attempt run: {running:.2f} s")
    expect(run.wait(60) == 0, run.stderr())
    expect("restarting from step" in run.stderr(), run.stderr())
    expect_clean(lab)
    expect((lab.sandbox.path / "three").read_text() == alone(lab, lab.sandbox.path / "one", "--steps", 150), "other bits")


def lost_node(lab):
    """A host that goes dark is noticed within the heartbeat and named; a spare takes its place."""
    checkpoints = lab.sandbox.path / "checkpoints"
    run = lab.run("h1:2,h2:2,h3:2,h4:2", ["-n", 6, "--spares", 1, "--checkpoint-dir", checkpoints, "--max-restarts", 1],
                  lab.steps("--steps", 200, "--step-us", 5000, "--result", lab.sandbox.path / "three"))
    run.await_event("checkpoint.committed")
    begin = time.time()
    lab.hosts.power_off("h2")
    ended = run.await_event("attempt.ended", seconds=20)[0]
    noticed = seconds_of(ended) - begin
    again = max(map(seconds_of, run.await_event("rank.started", 6, attempt=2, seconds=20))) - begin
    print(f"noticed after {noticed:.2f} s, ranks run again after {again:.2f} s")
    expect("node h2 was lost" in ended["verdict"], ended)
    expect(ended["cause"] == "node_lost", ended)
    expect(noticed <= HEARTBEAT + 1, f"noticed after {noticed:.2f} s")
    expect(lab.processes("h4", "steps") and not lab.hosts.processes("h2"), "the spare has taken its place")
    expect(run.wait(60) == 0, run.stderr())
    expect_clean(lab)
    expect((lab.sandbox.path / "three").read_text() == alone(lab, lab.sandbox.path / "one", "--steps", 200), "other bits")


def shrink(lab):
    """Where no other host can take a lost one's place, the job goes on with fewer ranks, if it may."""
    run = lab.run(ALL, ["-n", 6, "--min-ranks", 4, "--checkpoint-dir", lab.sandbox.path / "checkpoints", "--max-restarts", 1],
                  lab.steps("--steps", 150, "--step-us", 5000))
    run.await_event("checkpoint.committed")
    lab.hosts.power_off("h3")
    again = run.await_event("attempt.started", 2, seconds=20)[1]
    expect(again["ranks"] == 4, again)
    expect(run.wait(60) == 0, run.stderr())
    expect("room for 4 of 6 ranks" in run.stderr(), run.stderr())
    expect_clean(lab)


def cut_off(lab):
    """A host that is cut off ends its ranks by itself, and has nothing left when it comes back."""
    run = lab.run(ALL, ["-n", 6], lab.steps("--steps", 100000, "--step-us", 2000))
    run.await_event("rank.started", 6)
    time.sleep(0.3)
    lab.hosts.link("h3", up=False)
    begin = time.monotonic()
    deadline = Deadline(HEARTBEAT + 5, "the end of what runs on h3")
    while lab.processes("h3", "steps"):
        deadline.waits(0.02)
    print(f"the cut-off host ended its ranks after {time.monotonic() - begin:.2f} s")
    expect(run.wait(20) == 125, run.stderr())
    expect(run.result()["verdict"]["host"] == "h3", run.result())
    expect(run.result()["verdict"]["cause"] == "node_lost", run.result())
    lab.hosts.link("h3", up=True)
    expect_clean(lab, HEARTBEAT + 8)


def supervisor_killed(lab):
    """Whoever is killed, nothing is left on any host within 5 s."""
    for who in ("mpitrain", "mpirun", "orted"):
        run = lab.run(ALL, ["-n", 6], lab.steps("--steps", 100000, "--step-us", 2000))
        run.await_event("rank.started", 6)
        victim = lab.processes("h2" if who == "orted" else "h1", who)[0]
        kill(victim, signal.SIGKILL)
        code = run.wait(20)
        passed, left = lab.await_clean(5)
        expect(not left, f"{who}, after {passed:.1f} s: {left}")
        print(f"{who} killed: exit code {code}, clean after {passed:.2f} s")
        if who == "orted":
            expect(run.result()["verdict"]["host"] == "h2", run.result()["verdict"])


def strangers(lab):
    """Who does not hold the key is shown the door, and the key is nowhere to be seen."""
    run = lab.run(ALL, ["-n", 6], lab.steps("--steps", 1500, "--step-us", 2000))
    run.await_event("rank.started", 6)
    agent = lab.processes("h2", "mpitrain-rank")[0]
    control = re.search(rb"tcp:([0-9.]+):(\d+)", Path(f"/proc/{agent}/cmdline").read_bytes())
    script = ("import socket,time,sys\n"
              "s=[socket.create_connection((sys.argv[1],int(sys.argv[2]))) for _ in range(40)]\n"
              "s[0].sendall(b'GET / HTTP/1.1\\r\\n\\r\\n')\n"
              "s[1].sendall(b'MPITRAIN'+bytes([1,0,0,0])+bytes(range(32))+b'\\x20\\0\\0\\0'+bytes(32))\n"
              "t=time.time()\n"
              "for c in s:\n"
              "    c.settimeout(20)\n"
              "    while c.recv(1000): pass\n"
              "print(round(time.time()-t,1))\n")
    shown_out = lab.hosts.run("h3", [sys.executable, "-c", script, control[1].decode(), control[2].decode()])
    expect(shown_out.returncode == 0 and float(shown_out.stdout) < 10, shown_out)
    keys = set()
    for pid in lab.processes("h1", "mpirun"):
        keys.update(re.findall(rb"MPITRAIN_JOB_KEY=([0-9a-f]{64})", environment_of(pid)))
    expect(len(keys) == 1, "mpirun has the key")
    key = keys.pop()
    for host in lab.hosts.names:
        for pid in lab.hosts.processes(host):
            expect(key not in Path(f"/proc/{pid}/cmdline").read_bytes(), f"a command line shows the key: {pid}")
        for pid in lab.processes(host, "steps") + lab.processes(host, "mpitrain-rank"):
            if key in environment_of(pid):
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                expect(b"--guard" in command, f"an environment shows the key: {command}")
    expect(run.wait(60) == 0, run.stderr())
    written = subprocess.run(["grep", "-rlF", key.decode(), str(lab.sandbox.path / "state"), str(run.directory)],
                             capture_output=True, text=True, check=False)
    expect(written.stdout == "", f"files show the key: {written.stdout}")


def container_bridge(lab):
    """An interface that has the same address on every host does not get in the way."""
    run = lab.run(ALL, ["-n", 6], lab.steps("--steps", 20))
    expect(run.wait(60) == 0, run.stderr())
    expect("10.77.0.0/24" in run.stderr(), run.stderr())


def char_lm(lab):
    """The example's loss on three hosts of two ranks is that of six ranks on one, bit for bit."""
    def loss(where, *options):
        run = lab.run(where, ["-n", 6, "--no-tag", *options], [lab.sandbox.build / "bin/char-lm", "--steps", 60])
        expect(run.wait(100) == 0, run.stderr())
        return re.findall(r"0x[0-9a-f.]+p[+-]\d+", run.stdout())[-1]

    three, one = loss(ALL), loss("localhost", "--oversubscribe")
    print(f"loss {three} on three hosts, {one} on one")
    expect(three == one, "other bits")


def ipv6_only(lab):
    """A host that has no IPv4 address takes part."""
    run = lab.run("h1:1,h2:1", ["-n", 2], lab.steps("--steps", 20))
    expect(run.wait(60) == 0, run.stderr())


def stop(lab):
    """A stop reaches all hosts, with its deadline, and is a commit."""
    run = lab.run(ALL, ["-n", 6, "--checkpoint-dir", lab.sandbox.path / "checkpoints"],
                  lab.steps("--steps", 100000, "--step-us", 2000))
    run.await_event("rank.progress")
    kill(lab.processes("h1", "mpitrain")[0], signal.SIGTERM)
    expect(run.wait(30) == 75, run.stderr())
    expect_clean(lab)


BRIDGE = "ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up"
TESTS = {
    "SameBits": (same_bits, {}),
    "CharLm": (char_lm, {}),
    "Environment": (environment, {}),
    "BadInput": (bad_input, {}),
    "ManyLines": (many_lines, {"count": 2}),
    "KilledRank": (killed_rank, {}),
    "LostNode": (lost_node, {"count": 4}),
    "Shrink": (shrink, {}),
    "CutOff": (cut_off, {}),
    "KilledEngine": (supervisor_killed, {}),
    "Strangers": (strangers, {}),
    "ContainerBridge": (container_bridge, {"more": {f"h{i}": BRIDGE for i in (1, 2, 3)}}),
    "Ipv6Only": (ipv6_only, {"count": 2, "ipv6_only": ["h2"]}),
    "Stop": (stop, {}),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *TESTS])
    parser.add_argument("--build")
    options = parser.parse_args()
    skip_unless_possible()
    failed = 0
    for name in options.names or TESTS:
        test, setting = TESTS[name]
        begin = time.monotonic()
        try:
            with Lab(options.build, **setting) as lab:
                test(lab)
            print(f"ok {name} ({time.monotonic() - begin:.1f} s)", flush=True)
        except (AssertionError, RuntimeError, TimeoutError, OSError) as error:
            failed += 1
            print(f"FAILED {name}: {type(error).__name__}: {error}", flush=True)
    sys.exit(1 if failed else 0)


main()
