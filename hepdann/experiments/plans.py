"""What each benchmark trains, on which files, and what the paper has for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from ..config import Config, TrainConfig, load_config, override
from ..errors import ConfigError
from ..readers.reviews import convert_reviews
from ..samples.toys import ROTATION, moons
from ..tensors import Tensors
from .trial import Trial

DOMAINS = ("books", "dvd", "electronics", "kitchen")
WORDS = 8.0  # length that reviews are scaled to
MOONS = 430  # of each domain: 300 to train on, as in the paper
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
_BEYOND = "dann, domain normalisation"
_LABELLED = 100  # pictures of the target whose labels a line of the table is trained with


@dataclass(frozen=True)
class Plan:
    """The trainings of a benchmark.

    Attributes:
        name: of the benchmark.
        trials: the tasks, by experiment; those of one experiment may be several.
        paper: accuracies by experiment and method.
        lambda_: of adversarial methods in the column of the last epoch.
        titles: names of methods in the table, by trial key and method.
    """

    name: str
    trials: tuple[tuple[str, Trial], ...]
    paper: Mapping[tuple[str, str], float]
    lambda_: float = 1.0
    titles: Mapping[tuple[str, str], str] = field(default_factory=dict)


def plan(name: str, output: Path, data: Path | None, seeds: int, epochs: int | None = None) -> Plan:
    """What a benchmark trains; files that several trainings share are made.

    Args:
        name: one of :data:`NAMES`.
        output: folder of the benchmark.
        data: folder with the data sets; default what HEPDANN_DATA names.
        seeds: networks of each method.
        epochs: of each training; default those of the shipped configuration.

    Raises:
        ConfigError: no such benchmark, or a data set that is not there: it says where it is.
    """
    if name not in _PLANS:
        raise ConfigError(
            f"there is no benchmark {name!r}",
            where="benchmark",
            mend=f"there is {', '.join(NAMES)}",
        )
    config = load_config(name if name != "digits" else "mnist-m", expand=False)
    changes = {} if epochs is None else {"train.epochs": epochs}
    config = override(config, {"train.seeds": seeds, "train.diagnose": False, **changes})
    return _PLANS[name](output, data, config)


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


def _make_moons(path: Path) -> None:
    sets = [moons(MOONS, turn, np.random.default_rng(k)) for k, turn in enumerate((0.0, ROTATION))]
    (points, label), (turned, truth) = sets
    Tensors.from_arrays(
        points,
        label,
        data=turned,
        truth=truth,
        names=["x", "y"],
        output=path,
        classes=["upper", "lower"],
    )


def _moons(output: Path, data: Path | None, config: Config) -> Plan:
    del data
    train = config.train.model_copy(update={"alignments": [], "workers": 1})
    experiment = f"moons turned by {ROTATION:g}°"
    trial = Trial(
        "moons",
        output / "moons.h5",
        output / "moons",
        train,
        (train.lambda_,),
        shallow=True,
        scale=1.0,
        make=_make_moons,
    )
    return Plan("moons", ((experiment, trial),), {(experiment, "dann"): 1.0}, train.lambda_)


def _amazon(output: Path, data: Path | None, config: Config) -> Plan:
    folder = _data(data, "amazon")
    train = config.train.model_copy(update={"alignments": [], "oracle": False, "workers": 1})
    trials: list[tuple[str, Trial]] = []
    paper: dict[tuple[str, str], float] = {}
    for source in DOMAINS:
        for target in DOMAINS:
            if source == target:
                continue
            experiment, key = f"{source} → {target}", f"{source}-{target}"
            make = partial(convert_reviews, folder, source, target)
            trials.append(
                (
                    experiment,
                    Trial(
                        key,
                        output / f"{key}.h5",
                        output / key,
                        train,
                        tuple(config.scan.lambda_),
                        shallow=True,
                        scale=WORDS,
                        make=make,
                    ),
                )
            )
            network, dann = _REVIEWS[experiment]
            paper |= {(experiment, "source-only"): network, (experiment, "dann"): dann}
    return Plan("amazon", tuple(trials), paper, train.lambda_)


def _digits(output: Path, data: Path | None, config: Config) -> Plan:
    path = output / "mnist-m.h5"
    if not path.exists():
        _make_mnist_m(_data(data, "digits/mnist.npz"), _data(data, "digits/bsds500"), output, path)
    return _pictures("digits", "MNIST → MNIST-M", output, path, config, _DIGITS)


def _make_mnist_m(digits: Path, photographs: Path, folder: Path, output: Path) -> None:
    from ..readers import convert
    from ..readers.pictures.convert import picture_ref
    from ..readers.pictures.files import open_pictures
    from ..samples import write_mnist_m

    pictures = open_pictures(picture_ref(f"{digits}:train"))
    assert pictures.label is not None
    images = np.concatenate([block[..., 0] for block in pictures.blocks()])
    train = photographs / "train"
    files = write_mnist_m(
        folder / "mnist-m",
        None,
        0,
        True,
        digits=images,
        labels=pictures.label,
        photographs=train if train.is_dir() else photographs,
    )
    mc, target, truth = map(str, files)
    convert([mc], [target], output=output, truth=truth)


def _signs(output: Path, data: Path | None, config: Config) -> Plan:
    from ..readers import convert
    from ..samples import write_signs

    path = output / "signs.h5"
    if not path.exists():
        photographs = str(_data(data, "signs/gtsrb13_train.npz"))
        (drawn,) = write_signs(output / "drawn", 20_000, 0, truth=False)
        convert([str(drawn)], [photographs], output=path, truth=photographs, config=config)
    return _pictures("signs", "drawn signs → GTSRB, 13 classes", output, path, config, _SIGNS)


def _pictures(
    name: str, experiment: str, output: Path, path: Path, config: Config, paper: Mapping[str, float]
) -> Plan:
    """A trial for each seed and method, so that all cores work and little is lost by a stop."""
    base = config.train.model_copy(update={"seeds": 1, "workers": 1, "alignments": []})
    beyond = base.model_copy(
        update={
            "normalisation": "domain",
            "optimiser": "adam",
            "learning_rate": 1e-3,
            "schedule": "cosine",
            "ema": 0.995,
        }
    )
    trials: list[tuple[str, Trial]] = []
    titles: dict[tuple[str, str], str] = {}
    rows: list[tuple[str, TrainConfig, str, str]] = [
        ("source-only", base, "dann", "source-only"),
        ("dann", base, "dann", "dann"),
        ("target", base, "dann", "train on target"),
        ("beyond", beyond, "dann", _BEYOND),
        ("labelled", base, "dann", f"dann, {_LABELLED} target labels"),
        ("mmd", base, "mmd", "mmd"),
        ("coral", base, "coral", "coral"),
    ]
    first = config.train.seed
    for word, settings, method, title in rows:  # a stop leaves whole lines of the table
        for seed in range(first, first + config.train.seeds):
            train = settings.model_copy(update={"methods": [method], "seed": seed})
            label = {"source-only": "source-only", "target": "oracle"}.get(word, method)
            key = f"{word}-{seed}"
            trial = Trial(
                key,
                path,
                output / key,
                train,
                only=(label,),
                subspace=word == "source-only",
                labelled=_LABELLED if word == "labelled" else 0,
            )
            trials.append((experiment, trial))
            method_of = "train on target" if label == "oracle" else label
            titles[key, method_of] = title
    known = {(experiment, method): value for method, value in paper.items()}
    return Plan(name, tuple(trials), known, titles=titles)


_PLANS: dict[str, Callable[[Path, Path | None, Config], Plan]] = {
    "moons": _moons,
    "amazon": _amazon,
    "digits": _digits,
    "signs": _signs,
}
NAMES = tuple(_PLANS)
