"""What Lightning (Fabric, the part that finds its cluster) makes of its environment, left as DIR/<rank>.json."""

import json
import os
import sys
from pathlib import Path

import torch

try:
    from lightning.fabric import Fabric
except ImportError:
    from lightning_fabric import Fabric

fabric = Fabric(accelerator="cpu", strategy="ddp", devices=int(os.environ["LOCAL_WORLD_SIZE"]))
fabric.launch()
environment = fabric.strategy.cluster_environment
known = {
    "environment": type(environment).__name__,
    "starts_processes": not environment.creates_processes_externally,
    "rank": fabric.global_rank,
    "local_rank": fabric.local_rank,
    "node_rank": fabric.node_rank,
    "world_size": fabric.world_size,
    "main_port": environment.main_port,
    "gathered": fabric.all_gather(torch.tensor(fabric.global_rank)).tolist(),
}
(Path(sys.argv[1]) / f"{os.environ['RANK']}.json").write_text(json.dumps(known))
