"""Every attempt meets in a collective; in the first one rank 1 then fails.

Leaves what torch knows of an attempt as DIR/<attempt>-<rank>.json.
"""

import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist

dist.init_process_group("gloo")
ones = torch.ones(1)
dist.all_reduce(ones)
attempt = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
known = {
    "elastic": dist.is_torchelastic_launched(),
    "sum": ones.item(),
    "max_restarts": int(os.environ["TORCHELASTIC_MAX_RESTARTS"]),
    "port": int(os.environ["MASTER_PORT"]),
}
(Path(sys.argv[1]) / f"{attempt}-{dist.get_rank()}.json").write_text(json.dumps(known))
dist.barrier()
if attempt == 0 and dist.get_rank() == 1:
    sys.exit(9)
dist.destroy_process_group()
