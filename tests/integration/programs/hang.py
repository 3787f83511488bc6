"""Makes barriers of plain MPI, without a Python MPI package; then rank 1 stays in a loop of its own, or is slow.

    hang.py loop        for ever
    hang.py slow        rank 1 takes five times as long for a step as the others, 500 times
"""
import ctypes
import os
import sys
import time

mpi = ctypes.CDLL("libmpi.so.40", mode=ctypes.RTLD_GLOBAL)
every = ctypes.CDLL(None)  # so that a preloaded library stands before MPI
mpi.MPI_Init(None, None)
world = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.in_dll(mpi, "ompi_mpi_comm_world")))
rank = ctypes.c_int()
mpi.MPI_Comm_rank(world, ctypes.byref(rank))


def load_batch_for_ever():
    while True:
        pass


if sys.argv[1] == "slow":
    # As many steps as all would make: counted, so that all ranks make equally many barriers.
    for step in range(500):
        every.MPI_Barrier(world)
        time.sleep(0.05 if rank.value == 1 else 0.01)
    mpi.MPI_Finalize()
    sys.exit(0)
for step in range(30):
    every.MPI_Barrier(world)
    time.sleep(0.02)
if rank.value == 1:
    load_batch_for_ever()
every.MPI_Barrier(world)
os._exit(1)
