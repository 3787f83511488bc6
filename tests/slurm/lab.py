"""A real Slurm on one machine for tests: munged, slurmctld and several slurmd, all in a private directory.

    with Lab(nodes=3) as lab:
        lab.run("sbatch", "--parsable", "job.sh")

Every daemon listens on loopback, on ports that were free, and is ended by its process id. Nothing of the machine's own
Slurm, if it has one, is read or touched. Needs root: slurmd starts jobs as their users.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo")
READY_SECONDS = 30
GPUS = 4  # device nodes a node has

CONFIG = """
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={place}/munge/socket,cred_expire=5
SlurmUser=root
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool.%n
TmpFS={place}/tmp.%n
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.%n.pid
SlurmctldLogFile={place}/log/slurmctld
SlurmdLogFile={place}/log/slurmd.%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=pmix
ReturnToService=2
GresTypes=gpu
SlurmdParameters=config_overrides
SlurmctldParameters=preempt_send_user_signal
SchedulerParameters=bf_interval=1,sched_min_interval=0,sched_interval=1,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdTimeout=10
MessageTimeout=5
KillWait={kill_wait}
JobRequeue=1
PlugStackConfig={place}/plugstack.conf
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=100 PreemptMode=OFF
"""


def missing():
    """What this machine lacks for a Lab, as one line; empty when it has all."""
    programs = [name for name in PROGRAMS if shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None]
    if programs:
        return f"no {', '.join(programs)}: apt-get install munge slurmctld slurmd slurm-client"
    return "" if os.geteuid() == 0 else "needs root: slurmd starts jobs as their users"


def free_ports(count):
    """Ports that were free a moment ago, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Lab:
    def __init__(self, nodes=3, cores=4, kill_wait=5):
        self.names = [f"n{index + 1}" for index in range(nodes)]
        self.cores = cores
        self.kill_wait = kill_wait
        self.processes = {}

    # --- life ---

    def __enter__(self):
        self.place = Path(tempfile.mkdtemp(prefix="mpitrain-slurm-"))
        os.chmod(self.place, 0o755)
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with contextlib.suppress(Exception):
            if "slurmctld" in self.processes:
                self.run("scancel", "--state=RUNNING,PENDING,SUSPENDED", "--full", "-u", "root", check=False)
                self.wait_for(lambda: not self.jobs_left(), 10)
        for name in list(self.processes):
            self.stop(name, signal.SIGTERM)
        shutil.rmtree(self.place, ignore_errors=True)

    def jobs_left(self):
        return self.run("squeue", "-h", "-t", "all", "-o", "%T", check=False).stdout.count("COMPLETING")

    def _start(self):
        for folder in ("state", "log", "munge"):
            (self.place / folder).mkdir()
        for name in self.names:
            (self.place / f"spool.{name}").mkdir()
            (self.place / f"tmp.{name}").mkdir()
        (self.place / "plugstack.conf").write_text("")
        controller, *ports = free_ports(1 + len(self.names))
        self.host = socket.gethostname().split(".")[0]
        devices = self._make_devices()
        gres = f" Gres=gpu:{GPUS}" if devices else ""
        nodes = "\n".join(
            f"NodeName={name} NodeHostname={self.host} NodeAddr=127.0.0.1 Port={port} CPUs={self.cores} Boards=1"
            f" SocketsPerBoard=1 CoresPerSocket={self.cores} ThreadsPerCore=1 RealMemory=2000{gres} State=UNKNOWN"
            for name, port in zip(self.names, ports)
        )
        values = {"place": self.place, "host": self.host, "kill_wait": self.kill_wait}
        text = CONFIG.format(nodes=nodes, controller_port=controller, **values)
        (self.place / "slurm.conf").write_text(text)
        (self.place / "gres.conf").write_text(f"Name=gpu File={devices}/[0-{GPUS - 1}]\n" if devices else "")
        (self.place / "cgroup.conf").write_text("")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_", "PMI"))}
        self.environment["SLURM_CONF"] = str(self.place / "slurm.conf")
        self.environment["PATH"] += ":/usr/sbin:/sbin"
        self._start_munge()
        self.start_controller()
        for name in self.names:
            self.start_node(name)
        self.wait_for(lambda: self.states() == {"idle"}, READY_SECONDS, self.states)

    def _make_devices(self):
        """Files that Slurm takes for GPUs, or "" where device nodes cannot be made."""
        devices = self.place / "gpu"
        devices.mkdir()
        try:
            for index, minor in enumerate((5, 7, 8, 9)[:GPUS]):
                os.mknod(devices / str(index), 0o20666, os.makedev(1, minor))
        except PermissionError:
            return ""
        return devices

    def _start_munge(self):
        munge = self.place / "munge"
        (munge / "key").write_bytes(os.urandom(128))
        shutil.chown(munge, "munge", "munge")
        shutil.chown(munge / "key", "munge", "munge")
        os.chmod(munge / "key", 0o600)
        command = ["munged", "--foreground", f"--key-file={munge}/key", f"--socket={munge}/socket"]
        command += [f"--pid-file={munge}/pid", f"--log-file={munge}/log", f"--seed-file={munge}/seed"]
        self._spawn("munged", ["setpriv", "--reuid=munge", "--regid=munge", "--clear-groups", *command])
        self.wait_for(lambda: (munge / "socket").exists(), READY_SECONDS)

    def _spawn(self, name, command):
        log = open(self.place / "log" / f"{name}.out", "ab")
        self.processes[name] = subprocess.Popen(
            command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.place
        )
        log.close()

    def start_controller(self):
        self._spawn("slurmctld", ["slurmctld", "-D"])

    def start_node(self, name):
        # Its own /dev/shm: ranks of two nodes would else meet there under one host's name.
        script = "mount -t tmpfs shm /dev/shm && exec slurmd -D -N " + name
        self._spawn(name, ["unshare", "--mount", "sh", "-c", script])

    def stop(self, name, how=signal.SIGKILL):
        """Ends a daemon and waits for it; what it has started lives on."""
        process = self.processes.pop(name)
        if process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)

    # --- use ---

    def run(self, *command, check=True, timeout=60, env=None, **options):
        """Runs a client's command with this Slurm; gives what it said."""
        result = subprocess.run(
            [str(word) for word in command],
            env=self.environment | (env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            **options,
        )
        if check and result.returncode != 0:
            raise AssertionError(f"{command}: exit {result.returncode}\n{result.stdout}\n{result.stderr}")
        return result

    def states(self):
        return set(self.run("sinfo", "-h", "-N", "-p", "main", "-o", "%T", check=False).stdout.split())

    def job(self, job):
        """One job as squeue has it in JSON."""
        found = json.loads(self.run("squeue", "--json").stdout)["jobs"]
        return next((one for one in found if one["job_id"] == int(job)), None)

    def state(self, job):
        text = self.run("scontrol", "-o", "show", "job", job, check=False).stdout
        return next((word[9:] for word in text.split() if word.startswith("JobState=")), "")

    def wait_for(self, condition, seconds, seen=lambda: ""):
        """Waits until it holds. A failure says what was seen instead."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not so after {seconds} s: {seen()}\n{self.logs()}")
            time.sleep(0.05)

    def wait_for_state(self, job, *states, seconds=60):
        self.wait_for(lambda: self.state(job) in states, seconds, lambda: self.state(job))
        return self.state(job)

    def logs(self):
        text = ""
        for log in sorted((self.place / "log").glob("*")):
            text += f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-12:]) + "\n"
        return text
