"""The published shallow DANN on its moons, for several seeds: how good a training its figure shows.

    python benchmarks/studies/moons_published.py [--points 150 300] [--seeds 42 0 1 2 3 4 5 6 7]

Algorithm 1 of Ganin et al., JMLR 17 (2016) 59, as ``experiments_moons.py`` of
github.com/GRAAL-Research/domain_adversarial_neural_network runs it: 15 sigmoids, a softmax, a
logistic domain head, a step of .05 for each point in a fixed order with a random point of the
target, λ = 6, 500 epochs, no early stop. The moons are evenly spaced, centred, doubled, and turned
by 35 degrees. The error is that on the target's points that were trained on, as in the figure.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

HIDDEN, EPOCHS, RATE, LAMBDA, ANGLE = 15, 500, 0.05, 6.0, np.radians(35)
Array = NDArray[np.float64]


def domains(points: int) -> tuple[Array, Any, Array, Any]:
    """Points and classes of the source, and of the target."""
    from sklearn.datasets import make_moons

    (x, y), (turned, truth) = (make_moons(points, noise=0.05, random_state=s) for s in (1, 2))
    cos, sin = np.cos(ANGLE), np.sin(ANGLE)
    centre = x.mean(0)
    rotation = np.array([[cos, -sin], [sin, cos]])
    return 2 * (x - centre), y, 2 * (turned - centre) @ rotation.T, truth


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def error(points: int, seed: int, lambda_: float) -> float:
    """Share of the target's points that a network of this seed misses."""
    x, y, turned, truth = domains(points)
    random = np.random.RandomState(seed)
    reach = np.sqrt(6 / (2 + HIDDEN))
    w = reach * (2 * random.rand(HIDDEN, 2) - 1)
    v = reach * (2 * random.rand(2, HIDDEN) - 1)
    b, c, u, d = np.zeros(HIDDEN), np.zeros(2), np.zeros(HIDDEN), 0.0
    for _ in range(EPOCHS):
        for one, label, other in zip(
            x, y, turned[random.randint(points, size=points)], strict=True
        ):
            hidden = sigmoid(w @ one + b)
            score = np.exp(v @ hidden + c)
            slope = score / score.sum() - np.eye(2)[label]
            back = (v.T @ slope) * hidden * (1 - hidden)
            far = sigmoid(w @ other + b)
            source, target = sigmoid(u @ hidden + d), sigmoid(u @ far + d)  # the domain head says
            at_source = lambda_ * (1 - source) * u * hidden * (1 - hidden)
            at_target = -lambda_ * target * u * far * (1 - far)
            w = w - RATE * (np.outer(back + at_source, one) + np.outer(at_target, other))
            b = b - RATE * (back + at_source + at_target)
            v, c = v - RATE * np.outer(slope, hidden), c - RATE * slope
            u = u + RATE * lambda_ * ((1 - source) * hidden - target * far)
            d = d + RATE * lambda_ * (1 - source - target)
    said = np.argmax(sigmoid(turned @ w.T + b) @ v.T + c, axis=1)
    return float(np.mean(said != truth))


def main() -> None:
    """Train and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--points", type=int, nargs="+", default=[150, 300])
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, *range(8)])
    given = parser.parse_args()
    print("| points | method | mean error | of each seed |\n|---|---|---|---|")
    for points in given.points:
        for method, lambda_ in (("source-only", 0.0), ("dann", LAMBDA)):
            errors = [error(points, seed, lambda_) for seed in given.seeds]
            each = " ".join(f"{e:.3f}" for e in errors)
            print(f"| {points} | {method} | {np.mean(errors):.3f} | {each} |", flush=True)


if __name__ == "__main__":
    main()
