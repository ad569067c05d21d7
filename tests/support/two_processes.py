"""Run by `torchrun` in `test_train.py`: a few steps of training in several processes, and what came of it."""

import sys
from pathlib import Path

import torch
from torch import distributed
from train_cases import RECIPE, Lopsided, small_head

from groot_teach.training.train import fit, rank_and_processes

if __name__ == "__main__":
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    head, out = small_head(), Path(sys.argv[1])
    history = fit(head, Lopsided(), RECIPE, checkpoint=out / "checkpoint.pt", every=2)
    rank, processes = rank_and_processes()
    assert processes == distributed.get_world_size() > 1
    torch.save({"losses": history.losses, "head": head.state_dict()}, out / f"rank-{rank}.pt")
    distributed.destroy_process_group()
