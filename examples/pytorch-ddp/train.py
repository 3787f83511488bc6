#!/usr/bin/env python3
"""A character model of English words, trained data-parallel with PyTorch; it saves, stops when asked, and resumes.

Nothing in it knows what started it: `mpitrain run -n 2 python3 train.py`, torchrun, or `python3 train.py` alone. The
calls of the mpitrain package work everywhere, and do something under mpitrain.
"""

import argparse
import json
import os
import shutil
from pathlib import Path

import mpitrain
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

CONTEXT = 4  # characters that predict the next one
BATCH = 64  # examples a rank


def read_examples(path):
    """Contexts and next characters of all words, and the number of different characters; 0 ends a word."""
    words = [word for word in Path(path).read_text(encoding="utf-8").lower().split() if word.isalpha()]
    codes = {c: i + 1 for i, c in enumerate(sorted(set("".join(words))))}
    flat = [code for word in words for code in [0] * CONTEXT + [codes[c] for c in word]] + [0]
    windows = torch.tensor(flat).unfold(0, CONTEXT + 1, 1)
    return windows[:, :CONTEXT], windows[:, CONTEXT], len(codes) + 1


def make_model(characters):
    torch.manual_seed(1)
    hidden = [nn.Embedding(characters, 8), nn.Flatten(), nn.Linear(8 * CONTEXT, 64), nn.Tanh()]
    return nn.Sequential(*hidden, nn.Linear(64, characters))


def batch(step, rank, examples):
    """Which examples a rank takes at a step: a function of both alone, so that a resumed run takes the same ones."""
    generator = torch.Generator().manual_seed(1_000_003 * step + rank)
    return torch.randint(examples, (BATCH,), generator=generator)


def sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def save(directory, step, state):
    """Writes DIR/step-N so that it is whole as soon as it can be seen: a directory made aside, synced, then renamed."""
    aside, final = directory / f".step-{step}", directory / f"step-{step}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    torch.save(state, aside / "state.pt")
    (aside / "manifest.json").write_text(json.dumps({"format": "pytorch-ddp/1", "step": step, "files": ["state.pt"]}))
    for path in (aside / "state.pt", aside / "manifest.json", aside):
        sync(path)
    shutil.rmtree(final, ignore_errors=True)  # of a run that was told not to resume
    aside.rename(final)
    sync(directory)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="/usr/share/dict/words", help="a text of words [%(default)s]")
    parser.add_argument("--steps", type=int, default=2000, help="[%(default)s]")
    parser.add_argument("--every", type=int, default=200, help="steps between checkpoints [%(default)s]")
    return parser.parse_args()


def main():
    options = parse_options()
    if "RANK" in os.environ:
        dist.init_process_group("gloo")
    rank = int(os.environ.get("RANK", 0))
    contexts, targets, characters = read_examples(options.data)
    model = make_model(characters)
    parallel = DistributedDataParallel(model) if dist.is_initialized() else model
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)

    first = 0
    if mpitrain.resume_path():
        state = torch.load(Path(mpitrain.resume_path()) / "state.pt")
        first = state["step"]
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        if rank == 0:
            print(f"resuming at step {first}", flush=True)

    def checkpoint(step):
        if rank == 0 and mpitrain.checkpoint_directory():
            state = {"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
            with mpitrain.checkpoint(step):
                save(Path(mpitrain.checkpoint_directory()), step, state)

    step, loss = first, torch.tensor(float("nan"))
    while step < options.steps and not mpitrain.should_stop(step):
        chosen = batch(step, rank, len(targets))
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(parallel(contexts[chosen]), targets[chosen])
        loss.backward()
        optimizer.step()
        step += 1
        mpitrain.progress(step, options.steps, {"loss": loss.item()})
        if step % options.every == 0:
            checkpoint(step)
    if step < options.steps:
        checkpoint(step)  # asked to stop: keep what was done since the last one
        return
    if rank == 0:
        with torch.no_grad():
            total = nn.functional.cross_entropy(model(contexts), targets).item()
        print(f"final loss {total:.4f} ({total.hex()})")


if __name__ == "__main__":
    main()
