"""The tutorial's data-parallel program: whatever starts it has set torchrun's environment, and nothing else is known.

train.py FILE: rank 0 leaves the loss of every epoch in FILE, in hexadecimal, so that equal means equal.
"""

import os
import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler


def make_dataset():
    generator = torch.Generator().manual_seed(7)
    inputs = torch.randn(512, 16, generator=generator)
    return TensorDataset(inputs, torch.sin(inputs.sum(dim=1, keepdim=True)))


def train_epoch(model, loader, optimizer):
    total = torch.zeros(1)
    for inputs, targets in loader:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(inputs), targets)
        loss.backward()
        optimizer.step()
        total += loss.detach()
    dist.all_reduce(total)
    return total.item() / (len(loader) * dist.get_world_size())


def main():
    dist.init_process_group("gloo")
    assert dist.get_rank() == int(os.environ["RANK"])
    assert dist.get_world_size() == int(os.environ["WORLD_SIZE"])
    torch.manual_seed(11)
    model = DistributedDataParallel(nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 1)))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    dataset = make_dataset()
    sampler = DistributedSampler(dataset, seed=3)
    loader = DataLoader(dataset, batch_size=32, sampler=sampler)
    losses = []
    for epoch in range(4):
        sampler.set_epoch(epoch)
        losses.append(train_epoch(model, loader, optimizer).hex())
    if dist.get_rank() == 0:
        with open(sys.argv[1], "w") as file:
            file.write("\n".join(losses))
    # torch 1.13 can deadlock here: it joins gloo's threads with the interpreter locked, while one of them waits for the
    # lock to drop the last reduction's tensor. A barrier lets go of the lock, and holds no tensor of Python's.
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
