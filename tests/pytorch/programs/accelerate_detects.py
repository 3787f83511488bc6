"""What accelerate makes of its environment, left as DIR/<rank>.json."""

import json
import os
import sys
from pathlib import Path

import torch
from accelerate import Accelerator

accelerator = Accelerator(cpu=True)
gathered = accelerator.gather(torch.tensor([accelerator.process_index]))
known = {
    "distributed": "MULTI_CPU" in str(accelerator.distributed_type),
    "rank": accelerator.process_index,
    "local_rank": accelerator.local_process_index,
    "world_size": accelerator.num_processes,
    "main": accelerator.is_main_process,
    "gathered": gathered.tolist(),
}
(Path(sys.argv[1]) / f"{os.environ['RANK']}.json").write_text(json.dumps(known))
