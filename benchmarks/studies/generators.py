"""Fast simulation: showers of a WGAN against those of the toy, and digits of a DCGAN.

    python benchmarks/studies/generators.py                          # showers, one seed
    python benchmarks/studies/generators.py --seeds 3 --set steps=9000
    python benchmarks/studies/generators.py --digits DIR             # mnist.npz is there
    python benchmarks/studies/generators.py --refiner                # beside the free map

Rates are events a second of processor time on one core, generator and toy in turns. Digits: a
classifier that was trained on the real ones says how many drawn digits are of the class asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np


def rates(generator: Any, rounds: int = 5, n: int = 20_000) -> tuple[float, float]:
    """Median showers a second of the generator and of the toy, at the same conditions."""
    from hepdann.samples.showers import draw_showers

    spent: tuple[list[float], list[float]] = ([], [])
    columns, label = generator.conditions(n, 1)
    random = np.random.default_rng(1)
    for _ in range(rounds):
        for times, draw in zip(
            spent,
            (
                lambda: generator.draw(columns, label),
                lambda: draw_showers(columns[:, 0], label, random),
            ),
            strict=True,
        ):
            started = time.process_time()
            draw()
            times.append(time.process_time() - started)
    one, other = (n / float(np.median(times)) for times in spent)
    return one, other


def showers(events: int, seeds: int, settings: dict[str, Any]) -> None:
    """Train on the toy, and print the figures of each seed."""
    import hepdann
    from hepdann import samples
    from hepdann.config import load_config
    from hepdann.generators import train_generator, validate_generator

    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (mc,) = samples.write("showers", folder, events)
        config = load_config("showers")
        hepdann.convert(mc, config=config, output=folder / "s.h5")
        for seed in range(seeds):
            output, given = folder / f"run-{seed}", {"conditions": ["energy"], "seed": seed}
            started = time.process_time()
            generator = train_generator(folder / "s.h5", output, given | settings)
            spent = time.process_time() - started
            lines = validate_generator(generator, output).lines
            print(f"seed {seed}: {spent:.0f} s of one core", *lines, sep="\n  ", flush=True)
            one, other = rates(generator)
            print(f"  generator {one:,.0f}, toy {other:,.0f} showers/s: ratio {one / other:.1f}")


def digits(data: Path, settings: dict[str, Any]) -> None:
    """Train on MNIST, and print how many digits are what was asked for."""
    from sklearn.neural_network import MLPClassifier

    import hepdann
    from hepdann.generators import read_examples, train_generator, validate_generator

    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        hepdann.convert(f"{data / 'mnist.npz'}:train", output=folder / "m.h5")
        generator = train_generator(folder / "m.h5", folder / "run", settings)
        print(*validate_generator(generator, folder / "run").lines, sep="\n")
        real = read_examples(folder / "m.h5", [])
        judge = MLPClassifier((64,), max_iter=8, random_state=0)
        train, test = real.part("train"), real.part("test")
        judge.fit(train.images.reshape(len(train), -1), train.label)
        drawn = generator.draw(test.columns, test.label)
        for name, images in (("real", test.images), ("drawn", drawn)):
            right = judge.score(images.reshape(len(images), -1), test.label)
            print(f"{name}: {right:.1%} are what was asked for")


def refiner(events: int) -> None:
    """Calibrate three smooth features, one of them stretched, one bent, one scaled; print."""
    import hepdann
    from hepdann.calibration import calibrate

    def draw(seed: int) -> Any:
        generator = np.random.default_rng(seed)
        x = generator.standard_normal((events, 3))
        return np.stack([x[:, 0], x[:, 1] + 0.6 * x[:, 0], np.exp(0.5 * x[:, 2])], axis=1)

    x, y = draw(0), draw(1)
    y = np.stack([1.1 * y[:, 0] + 0.15, y[:, 1] + 0.2 * np.sin(2 * y[:, 1]), 1.1 * y[:, 2]], axis=1)
    label = (x[:, 0] > 0).astype(int)
    tensors = hepdann.Tensors.from_arrays(x, label, data=y)
    report = calibrate(tensors.source(), tensors.target(), tensors.features,
                       families=["refiner", "free"])  # fmt: skip
    for one in report.candidates:
        print(f"{one.name:8} {one.count:4} parameters, AUC that is left {one.auc}")
    print(report.sentence)


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--digits", type=Path, metavar="DIR", help="folder of mnist.npz")
    parser.add_argument("--refiner", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    settings = {name: json.loads(v) for name, v in (text.split("=") for text in given.set)}
    if given.refiner:
        refiner(given.events)
    elif given.digits is not None:
        digits(given.digits, settings)
    else:
        showers(given.events, given.seeds, settings)


if __name__ == "__main__":
    main()
