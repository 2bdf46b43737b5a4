"""A package of a user's that adds one thing of each kind to hepdann, by its entry points."""

import numpy as np
from torch import nn

import hepdann
from hepdann.methods import Objective
from hepdann.methods.base import label_loss


@hepdann.register.shift("plugin-stretch", raw=True)
def stretch(x, t, generator, sigma):
    return x + sigma / t


@hepdann.register.alignment("plugin-centre")
class Centre:
    name = "plugin-centre"

    def __init__(self, move):
        self.move = move

    @classmethod
    def fit(cls, target, source, *, seed=0):
        return cls(source.features.mean(axis=0) - target.features.mean(axis=0))

    def apply(self, x):
        return x + self.move

    def to_dict(self):
        return {"map": self.name, "move": self.move.tolist()}

    @classmethod
    def from_dict(cls, stored):
        return cls(np.array(stored["move"], np.float32))


@hepdann.register.method("plugin-method", adversarial=False)
def objective(network, batch, adversary):
    features = network.features(batch.x)
    label = label_loss(network, features[..., : batch.labelled], batch)
    return Objective(label, {"label_loss": label.detach()})


def network(shape):  # an entry point needs no decorator where there are no options
    return nn.Sequential(nn.Linear(shape.inputs, 8), nn.Tanh())


@hepdann.register.criterion("plugin-margin")
def margin(candidate, events):
    return abs(candidate.target[:, 1] - 0.5).mean()


def means(scores):
    return {m: float(scores.score("mc", m)[:, 1].mean()) for m in scores.methods}


@hepdann.register.figure("plugin-means", numbers=means)
def draw(numbers, ax):
    ax.bar(list(numbers), list(numbers.values()))
