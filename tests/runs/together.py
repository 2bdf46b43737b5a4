"""Trains on images, as torchrun starts it: tensors, output."""

from __future__ import annotations

import sys

import hepdann
from hepdann import networks
from hepdann.networks import Modules, ViewsNetwork
from hepdann.networks.minerva import TowerPlan
from hepdann.networks.pictures import perceptron
from hepdann.runs import first_process

FAST = {
    "seeds": 1,
    "epochs": 2,
    "batch_size": 40,
    "network": "run-views",
    "augment": {"rotate": True, "shift": 4},
}


def tiny(shape):
    towers = [TowerPlan((3,), ((4, 3),), 8, dropout=0.0)] * 3
    return Modules(ViewsNetwork(shape.views, towers, perceptron((24, 10)), shape.autocast))


networks.register("run-views", tiny)

if __name__ == "__main__":
    run = hepdann.train(sys.argv[1], output=sys.argv[2], diagnose=False, oracle=False, **FAST)
    if first_process():
        sys.stdout.write(f"{run.folder}\n")
