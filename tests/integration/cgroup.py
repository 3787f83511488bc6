"""Control groups made for a test. Only root can; both versions of the interface are known."""

import os
from pathlib import Path

V1 = Path("/sys/fs/cgroup/memory")


def enter_command(folders):
    """A command prefix that moves itself into the groups and then becomes what follows."""
    moves = " && ".join(f"echo $$ > {folder}/cgroup.procs" for folder in folders)
    return ["sh", "-c", f'{moves} && exec "$@"', "sh"]


class Group:
    """One group with its limits, below the controllers' roots."""

    def __init__(self, name, v1, v2):
        root = Path("/sys/fs/cgroup")
        self.folders = []
        versions = {controller: limits for controller, limits in v1.items()} if V1.is_dir() else {"": v2}
        for controller, limits in versions.items():
            folder = root / controller / name
            folder.mkdir()
            self.folders.append(folder)
            for file, value in limits.items():
                (folder / file).write_text(str(value))

    def enter(self):
        return enter_command(self.folders)

    def remove(self):
        for folder in self.folders:
            try:
                os.rmdir(folder)
            except OSError:
                pass  # a zombie is still accounted there; the folder costs nothing


class MemoryLimit(Group):
    def __init__(self, name, size_bytes):
        super().__init__(name, {"memory": {"memory.limit_in_bytes": size_bytes}},
                         {"memory.max": size_bytes, "memory.swap.max": 0})


class CpuQuota(Group):
    """A share of the machine's time, without any cores of its own."""

    def __init__(self, name, cores):
        super().__init__(name, {"cpu": {"cpu.cfs_period_us": 100000, "cpu.cfs_quota_us": int(cores * 100000)}},
                         {"cpu.max": f"{int(cores * 100000)} 100000"})
