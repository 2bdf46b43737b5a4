"""What each benchmark trains, on which files, and what the paper has for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations
from pathlib import Path

import numpy as np

from ..config import Config, load_config, override
from ..errors import ConfigError
from ..provenance import provenance
from ..readers.amazon_reviews import convert_reviews
from ..samples.toys import ROTATION, moons
from ..tensors.arrays import write_parts
from .trial import Trial

DOMAINS = ("books", "dvd", "electronics", "kitchen")
WORDS = 8.0  # length that reviews are scaled to
NUMBERS = 10_000  # drawn, as many as MNIST's test part has
DRAWN_SIGNS = 20_000
MOONS = {"train": 300, "validation": 100, "test": 2_000}  # of each domain; 300 as in the paper
_ADDRESS = {
    "amazon": "https://github.com/GRAAL-Research/domain_adversarial_neural_network",
    "digits/mnist.npz": "https://github.com/rasbt/mnist-pngs",
    "digits/bsds500": "https://github.com/BIDS/BSDS500",
    "signs/gtsrb13_train.npz": "https://benchmark.ini.rub.de",
}
# Ganin et al., JMLR 17 (2016) 59, table 1, original data: NN and DANN
_REVIEWS = {
    "books → dvd": (0.790, 0.784),
    "books → electronics": (0.747, 0.733),
    "books → kitchen": (0.778, 0.779),
    "dvd → books": (0.720, 0.723),
    "dvd → electronics": (0.732, 0.754),
    "dvd → kitchen": (0.778, 0.783),
    "electronics → books": (0.709, 0.713),
    "electronics → dvd": (0.733, 0.738),
    "electronics → kitchen": (0.854, 0.854),
    "kitchen → books": (0.708, 0.709),
    "kitchen → dvd": (0.739, 0.740),
    "kitchen → electronics": (0.841, 0.843),
}
_DIGITS = {
    "source-only": 0.5225,
    "dann": 0.7666,
    "train on target": 0.9596,
    "subspace alignment": 0.5690,
}
_SIGNS = {"source-only": 0.7900, "dann": 0.8865, "train on target": 0.9980}
_LINES = ("source-only", "dann", "target", "beyond", "labelled", "mmd", "coral")
_LABELLED = 100  # pictures of the target whose labels a line of the table is trained with


Shipped = Callable[[str], Config]  # a shipped configuration, for so many seeds and epochs


@dataclass(frozen=True)
class BenchmarkPlan:
    """The trainings of a benchmark.

    Attributes:
        name: of the benchmark.
        trials: the tasks, by experiment; those of one experiment may be several.
        paper: accuracies by experiment and method.
        lambda_: of adversarial methods in the column of the last epoch.
    """

    name: str
    trials: tuple[tuple[str, Trial], ...]
    paper: Mapping[tuple[str, str], float]
    lambda_: float = 1.0


def plan(
    name: str, output: Path, data: Path | None, seeds: int, epochs: int | None = None
) -> BenchmarkPlan:
    """What a benchmark trains; files that several trainings share are made.

    The arguments are those of :func:`.benchmark`, the name is one of :data:`NAMES`.

    Raises:
        ConfigError: no such benchmark, or a data set that is not there: it says where it is.
    """
    if name not in _PLANS:
        raise ConfigError(
            f"there is no benchmark {name!r}",
            where="benchmark",
            mend=f"there is {', '.join(NAMES)}",
        )
    changes = {"train.seeds": seeds, "train.diagnose": False}
    changes |= {} if epochs is None else {"train.epochs": epochs}

    def shipped(config: str) -> Config:
        return override(load_config(config), changes)

    return _PLANS[name](output, data, shipped)


def _data(data: Path | None, name: str) -> Path:
    """A file or folder of the data sets.

    Raises:
        ConfigError: it is not there.
    """
    folder = data or Path(os.environ.get("HEPDANN_DATA", "."))
    for place in (folder / name, folder / Path(name).name):
        if place.exists():
            return place
    raise ConfigError(
        f"{name} is not there",
        where=folder,
        mend=f"get it from {_ADDRESS[name]} and name its folder with --data (or HEPDANN_DATA)",
    )


def make_moons(path: Path, seed: int = 0) -> None:
    """Write the moons: points of the source by this seed, of the target by the next one."""
    tables = {}
    for stream, (domain, turn) in enumerate((("mc", 0.0), ("data", ROTATION)), seed):
        generator = np.random.default_rng(stream)
        for part, count in MOONS.items():
            tables[domain, part] = moons(count, turn, generator)
    write_parts(
        path, tables, names=["x", "y"], classes=["upper", "lower"],
        samples={"mc": ["moons"], "data": ["turned"]}, record=provenance([], {}),
    )  # fmt: skip


def _moons(output: Path, data: Path | None, shipped: Shipped) -> BenchmarkPlan:
    """The paper's network, and a deeper one whose λ reverse validation chooses."""
    del data
    train = shipped("moons").train.model_copy(update={"alignments": [], "workers": 1})
    experiment = f"moons turned by {ROTATION:g}°"
    paper = Trial(
        "moons",
        output / "moons.h5",
        output / "moons",
        train,
        (train.lambda_,),
        shallow=True,
        scale=1.0,
        make=make_moons,
    )
    deeper = {
        "extractor": [50, 50],
        "activation": "tanh",
        "domain_head": [50, 50],
        "optimiser": "adam",
        "learning_rate": 2e-3,
        "schedule": "cosine",
        "lambda_schedule": "ganin",
        "domain_weight": 3.0,
        "batch_size": 50,
        "ema": 0.995,
    }
    beyond = replace(
        paper,
        key="deeper",
        tensors=output / "deeper.h5",
        folder=output / "deeper",
        train=train.model_copy(update=deeper),
        lambdas=(0.3, 1.0, 3.0),
        only=("dann",),
        title="dann, two layers of 50",
    )
    trials = (experiment, paper), (experiment, beyond)
    return BenchmarkPlan("moons", trials, {(experiment, "dann"): 1.0}, train.lambda_)


def _amazon(output: Path, data: Path | None, shipped: Shipped) -> BenchmarkPlan:
    folder, config = _data(data, "amazon"), shipped("amazon")
    train = config.train.model_copy(update={"alignments": [], "oracle": False, "workers": 1})
    trials: list[tuple[str, Trial]] = []
    paper: dict[tuple[str, str], float] = {}
    for source, target in permutations(DOMAINS, 2):
        experiment, key = f"{source} → {target}", f"{source}-{target}"
        trial = Trial(
            key,
            output / f"{key}.h5",
            output / key,
            train,
            tuple(config.scan.lambda_),
            shallow=True,
            scale=WORDS,
            make=partial(convert_reviews, folder, source, target),
        )
        trials.append((experiment, trial))
        network, dann = _REVIEWS[experiment]
        paper |= {(experiment, "source-only"): network, (experiment, "dann"): dann}
    return BenchmarkPlan("amazon", tuple(trials), paper, train.lambda_)


def _digits(output: Path, data: Path | None, shipped: Shipped) -> BenchmarkPlan:
    experiment, path, mnist = "MNIST → MNIST-M", output / "mnist-m.h5", output / "mnist-m"
    if not path.exists():
        from ..readers.pictures.convert import picture_ref
        from ..readers.pictures.files import grey_pictures
        from ..samples import write_mnist_m

        images, labels = grey_pictures(picture_ref(f"{_data(data, 'digits/mnist.npz')}:train"))
        photographs = _data(data, "digits/bsds500")
        train = photographs / "train"
        mc, target, truth = write_mnist_m(
            mnist, None, 0, True, digits=images, labels=labels,
            photographs=train if train.is_dir() else photographs,
        )  # fmt: skip
        _convert(path, mc, target, truth, shipped("mnist-m"))
    trials = _trials(experiment, path, output, shipped("mnist-m"))
    return BenchmarkPlan(
        "digits", trials, {(experiment, method): _DIGITS[method] for method in _DIGITS}
    )


def _signs(output: Path, data: Path | None, shipped: Shipped) -> BenchmarkPlan:
    """As the paper, and with contrast, jitter and domain normalisation in every line."""
    from ..samples import write_signs

    drawn, experiment = output / "drawn" / "mc.h5", "drawn signs → GTSRB, 13 classes"
    if not drawn.exists():
        write_signs(drawn.parent, DRAWN_SIGNS, 0)
    for name in ("signs", "signs-jitter"):
        if not (output / f"{name}.h5").exists():
            photographs = _data(data, "signs/gtsrb13_train.npz")
            _convert(output / f"{name}.h5", drawn, photographs, photographs, shipped(name))
    jitter = f"{experiment}, contrast and jitter", output / "signs-jitter.h5", output / "jitter"
    trials = (
        *_trials(experiment, output / "signs.h5", output, shipped("signs")),
        *_trials(*jitter, shipped("signs-jitter"), _LINES[:3]),
    )
    return BenchmarkPlan(
        "signs", trials, {(experiment, method): _SIGNS[method] for method in _SIGNS}
    )


def _numbers(output: Path, data: Path | None, shipped: Shipped) -> BenchmarkPlan:
    """MNIST to drawn numbers and back, as many of either as MNIST has in its smaller part."""
    from ..samples import write_numbers

    mnist, drawn = f"{_data(data, 'digits/mnist.npz')}:test", output / "drawn" / "mc.h5"
    if not drawn.exists():
        write_numbers(drawn.parent, NUMBERS, 0)
    ends, config = {"MNIST": mnist, "drawn numbers": str(drawn)}, shipped("mnist-m")
    trials: list[tuple[str, Trial]] = []
    for source, target in permutations(ends, 2):
        folder = output / f"{source} to {target}".replace(" ", "-").lower()
        path = folder.with_suffix(".h5")
        if not path.exists():
            _convert(path, ends[source], ends[target], ends[target], config)
        trials += _trials(f"{source} → {target}", path, folder, config, _LINES[:4])
    return BenchmarkPlan("numbers", tuple(trials), {})


def _convert(
    path: Path, source: str | Path, target: str | Path, truth: str | Path, config: Config
) -> None:
    from ..readers import convert_files

    convert_files([str(source)], [str(target)], output=path, truth=str(truth), config=config)


def _trials(
    experiment: str, path: Path, folder: Path, config: Config, words: Sequence[str] = _LINES
) -> tuple[tuple[str, Trial], ...]:
    """A trial for each seed and line, line by line: a stop leaves whole lines of the table.

    They train on a tensor file, in a folder, with settings; the words name the lines, in their
    order.
    """
    base = config.train.model_copy(update={"seeds": 1, "workers": 1, "alignments": []})
    beyond = {
        "normalisation": "domain",
        "optimiser": "adam",
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "ema": 0.995,
    }
    titles = {
        "beyond": "dann, domain normalisation",
        "labelled": f"dann, {_LABELLED} target labels",
    }
    trials: list[tuple[str, Trial]] = []
    prefix = "" if folder == path.parent else f"{folder.name}-"
    for word in words:
        method = word if word in ("mmd", "coral") else "dann"
        label = {"source-only": "source-only", "target": "oracle"}.get(word, method)
        for seed in range(config.train.seed, config.train.seed + config.train.seeds):
            changes = {"methods": [method], "seed": seed} | (beyond if word == "beyond" else {})
            trial = Trial(
                f"{prefix}{word}-{seed}",
                path,
                folder / f"{word}-{seed}",
                base.model_copy(update=changes),
                only=(label,),
                subspace=word == "source-only",
                labelled=_LABELLED if word == "labelled" else 0,
                title=titles.get(word),
            )
            trials.append((experiment, trial))
    return tuple(trials)


_PLANS: dict[str, Callable[[Path, Path | None, Shipped], BenchmarkPlan]] = {
    "moons": _moons,
    "amazon": _amazon,
    "digits": _digits,
    "signs": _signs,
    "numbers": _numbers,
}
NAMES = tuple(_PLANS)
