"""Several hosts on one machine: namespaces with a name, an address, an sshd and a /tmp of their own.

    with Hosts(directory, 3) as hosts:                      # h1 h2 h3, each reaches each by ssh
        subprocess.run(hosts.inside("h1", ["ssh", "-F", hosts.ssh_config, "h2", "hostname"]))
        hosts.link("h2", up=False)                          # the cable is pulled
        hosts.power_off("h2")                               # every process on it is gone at once

A host is the process tree of one sshd, process 1 of its own PID namespace; a bridge in a namespace of its own joins
them. No namespace has a name, so nothing can be left: it all goes with the processes, and those go with this one, however
it ends. Two runs at a time never meet.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
SSHD = "/usr/sbin/sshd"
NETWORK = "10.77.0"
NETWORK6 = "fd77::"

HOST_SCRIPT = """
set -e
hostname {name}
mount --bind {directory}/hosts /etc/hosts
for folder in /dev/shm /tmp /run/lock; do mount -t tmpfs -o mode=1777 host $folder; done
echo namespace
read -r go
ip link set lo up
{addresses}
ip link set eth0 up
{more}
exec {sshd} -D -f {directory}/sshd.conf -E {directory}/{name}.log
"""

SSHD_CONFIG = """
Port 22
HostKey {directory}/hostkey
PidFile none
AuthorizedKeysFile {directory}/authorized_keys
StrictModes no
UsePAM no
UseDNS no
SetEnv SHLVL=2
MaxStartups 200:30:400
MaxSessions 200
"""

SSH_CONFIG = """
Host *
User root
IdentityFile {directory}/key
IdentitiesOnly yes
StrictHostKeyChecking no
UserKnownHostsFile /dev/null
LogLevel ERROR
BatchMode yes
KexAlgorithms curve25519-sha256
ConnectTimeout 3
"""


def why_not():
    """What this machine lacks for virtual hosts, for people; None if nothing."""
    if os.geteuid() != 0:
        return "virtual hosts need root"
    if not os.access(SSHD, os.X_OK):
        return "openssh-server is not installed"
    probe = subprocess.run(["unshare", "--net", "--uts", "--ipc", "--mount", "--pid", "--fork", "true"],
                           capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        return f"no namespaces can be made here: {probe.stderr.strip()}"
    return None


def skip_unless_possible():
    """Ends the test as skipped, aloud; as failed where everything is demanded."""
    reason = why_not()
    if reason is not None:
        required = os.environ.get("MPITRAIN_REQUIRE_ALL", "") not in ("", "0")
        print(f"{'FAILED' if required else 'SKIPPED'}: {reason}", file=sys.stderr)
        sys.exit(1 if required else 77)


def _die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _check(*command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


def _children(pid):
    try:
        return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class Hosts:
    """`more`: shell lines by host name, run inside before its sshd, such as a trap to fall into. `ipv6_only`: hosts that
    have no IPv4 address; the others then have both."""

    def __init__(self, directory, count=3, more=None, ipv6_only=()):
        self.directory = Path(directory)
        self.names = [f"h{i + 1}" for i in range(count)]
        self.more = more or {}
        self.ipv6_only = set(ipv6_only)
        self.ssh_config = self.directory / "ssh_config"
        self._switch = None
        self._holders = {}  # unshare, whose child is process 1 of the host
        self._down = set()

    # --- life ---

    def __enter__(self):
        try:
            self._write_files()
            self._switch = self._spawn(["unshare", "--net", "--kill-child", "--fork", "sh", "-c", "echo ready; exec sleep 100000"])
            self._switch.stdout.readline()
            self._in_switch("ip", "link", "add", "br0", "type", "bridge")
            self._in_switch("ip", "link", "set", "br0", "up")
            for name in self.names:
                self._begin(name)
            for name in self.names:
                self._connect(name)
            for name in self.names:
                self._await_sshd(name)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for holder in [*self._holders.values(), self._switch]:
            if holder is not None:
                holder.kill()
                holder.wait()
        self._holders, self._switch = {}, None

    def power_off(self, name):
        """As when the plug is pulled: silent, and nothing on it lives on."""
        self.link(name, up=False)
        self._holders[name].kill()
        self._holders[name].wait()
        self._in_switch("ip", "link", "del", name)  # the kernel takes its time with a dead namespace

    def power_on(self, name):
        self._begin(name)
        self._connect(name)
        self._await_sshd(name)

    def link(self, name, up):
        self._in_switch("ip", "link", "set", name, "up" if up else "down")

    # --- use ---

    def address(self, name):
        return f"{NETWORK}.{self.names.index(name) + 1}"

    def inside(self, name, command):
        """The command that runs `command` on this host, with our environment and working directory."""
        return ["nsenter", "-t", str(self.init(name)), "--net", "--uts", "--ipc", "--mount", "--pid", "--",
                "env", "-C", os.getcwd(), "SHELL=/bin/bash", *map(str, command)]

    def run(self, name, command, seconds=30):
        return subprocess.run(self.inside(name, command), capture_output=True, text=True, timeout=seconds, check=False)

    def init(self, name):
        """The host's process 1, seen from outside."""
        return _children(self._holders[name].pid)[0]

    def processes(self, name):
        """Ids, seen from outside, of what runs on this host but for its sshd; zombies do not."""
        try:
            init = self.init(name)
            space = os.readlink(f"/proc/{init}/ns/pid")
        except (OSError, IndexError):
            return []  # it is off
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == init:
                continue
            try:
                state = Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()[0]
                if state not in "ZX" and os.readlink(f"/proc/{entry}/ns/pid") == space:
                    found.append(int(entry))
            except OSError:
                pass
        return found

    def files(self, name):
        """What lies in the folders where a job may leave something behind."""
        try:
            root = Path(f"/proc/{self.init(name)}/root")
            return sorted(str(path)[len(str(root)):] for folder in ("dev/shm", "tmp") for path in (root / folder).iterdir())
        except (OSError, IndexError):
            return []

    # --- inside ---

    def _spawn(self, command):
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                preexec_fn=_die_with_parent, start_new_session=True)

    def _in_switch(self, *command):
        return _check("nsenter", "-t", _children(self._switch.pid)[0], "--net", "--", *command)

    def _addresses(self, name):
        number = self.names.index(name) + 1
        four, six = (f"{NETWORK}.{number}", 24), (f"{NETWORK6}{number}", 64)
        if name in self.ipv6_only:
            return [six]
        return [four, six] if self.ipv6_only else [four]

    def _write_files(self):
        self.directory.mkdir(exist_ok=True)
        Path("/run/sshd").mkdir(exist_ok=True)
        for key in ("key", "hostkey"):
            if not (self.directory / key).exists():
                _check("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.directory / key)
        authorized = self.directory / "authorized_keys"
        authorized.write_text((self.directory / "key.pub").read_text())
        authorized.chmod(0o600)
        lines = ["127.0.0.1 localhost"]
        lines += [f"{address} {name}" for name in self.names for address, _ in self._addresses(name)]
        (self.directory / "hosts").write_text("\n".join(lines) + "\n")
        (self.directory / "sshd.conf").write_text(SSHD_CONFIG.format(directory=self.directory))
        self.ssh_config.write_text(SSH_CONFIG.format(directory=self.directory))

    def _begin(self, name):
        script = HOST_SCRIPT.format(
            name=name, directory=self.directory, sshd=SSHD, more=self.more.get(name, ""),
            addresses="\n".join(f"ip addr add {address}/{bits} dev eth0{' nodad' if ':' in address else ''}"
                                for address, bits in self._addresses(name)))
        self._holders[name] = self._spawn(["unshare", "--net", "--uts", "--ipc", "--mount", "--pid", "--fork",
                                           "--mount-proc", "--kill-child", "sh", "-c", script])
        if self._holders[name].stdout.readline() != "namespace\n":
            raise RuntimeError(f"the host {name} could not be made")

    def _connect(self, name):
        # Its hardware address stays when the host comes back, as a real one's does: the others remember it.
        hardware = f"02:00:00:00:{self.names.index(name) // 256:02x}:{self.names.index(name) % 256:02x}"
        _check("nsenter", "-t", self.init(name), "--net", "--", "ip", "link", "add", "eth0", "address", hardware,
               "type", "veth", "peer", "name", name, "netns", _children(self._switch.pid)[0])
        self._in_switch("ip", "link", "set", name, "master", "br0", "up")
        self._holders[name].stdin.write("go\n")
        self._holders[name].stdin.flush()

    def _await_sshd(self, name, seconds=10):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            listening = _check("nsenter", "-t", self.init(name), "--net", "--", "ss", "-Hltn", "sport = :22")
            if re.search(r":22\b", listening):
                return
            time.sleep(0.02)
        log = self.directory / f"{name}.log"
        raise RuntimeError(f"no sshd on {name}: {log.read_text() if log.exists() else 'no log'}")
