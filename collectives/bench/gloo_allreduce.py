#!/usr/bin/python3
"""The ranks' allreduce by gloo, through PyTorch: median microseconds of the slowest rank, for each size, as JSON on rank 0.

mpirun -np 2 gloo_allreduce.py PORT BEGIN END FACTOR ROUNDS
"""

import json
import os
import statistics
import sys
import time

import torch
import torch.distributed as dist


def main():
    port, begin, end, factor, rounds = map(int, sys.argv[1:6])
    rank, ranks = int(os.environ["OMPI_COMM_WORLD_RANK"]), int(os.environ["OMPI_COMM_WORLD_SIZE"])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks)
    times = {}
    size = begin
    while size <= end:
        data = torch.ones(size // 4)
        calls = max(2, min(1000, (64 << 20) // size))
        samples = []
        for round_number in range(rounds + 1):
            dist.barrier()
            start = time.perf_counter()
            for _ in range(calls):
                dist.all_reduce(data, op=dist.ReduceOp.MAX)
            each = torch.tensor([(time.perf_counter() - start) / calls * 1e6])
            dist.all_reduce(each, op=dist.ReduceOp.MAX)
            if round_number > 0:  # the first one warms caches
                samples.append(each.item())
        times[size] = statistics.median(samples)
        size *= factor
    if rank == 0:
        print(json.dumps(times), flush=True)
    dist.barrier()


main()
