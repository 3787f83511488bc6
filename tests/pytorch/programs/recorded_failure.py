"""Rank 1 raises under torchelastic's @record while rank 0 waits for it in a collective."""

import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing.errors import record


@record
def main():
    dist.init_process_group("gloo")
    if dist.get_rank() == 1:
        raise ValueError("the data of rank 1 is bad")
    dist.all_reduce(torch.zeros(1))


if __name__ == "__main__":
    main()
