"""One task of a benchmark: the networks that train on one tensor file, and how right they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from ..alignment.subspace import subspace_scores
from ..config import TrainConfig
from ..criteria import reverse_validation
from ..domains import Domains, Scaling, watched_rows
from ..errors import Interrupted, RunError
from ..evaluation import PeekObserver, oracle_source, truth_of
from ..inference.passes import classify, feature_layer
from ..inputs import read_json
from ..networks import AdversarialNetwork
from ..outputs import write_whole
from ..parallel import Link
from ..registry import ORACLE
from ..runs.preparation import prepare_training
from ..runs.stacks.plan import SourceIndices, StackPlan, group_members, plan_stacks
from ..runs.stacks.shard_training import Hooks, ShardFiles, Trained, train_shard
from ..runs.stacks.shards import Stacks
from ..stats import proxy_distance
from ..tensors import open_tensors
from ..training import Member, Progress

_RESULT, _PLANE, _SCORES = "result.json", "plane.npz", "scores.npy"
_VERSION = 2
_MOST_ALIGNED = 4_000  # pictures of each domain whose subspaces are aligned
_MOST_FEATURES = 512  # that reverse validation sees
_CELLS, _MARGIN = 80, 0.15  # of a plane, along each axis; beside its events, of their width

MemberResult = dict[str, Any]
"""``method``, ``lambda``, ``seed``, ``last``, ``chosen``, ``peeked``, and figures of the trial."""


@dataclass(frozen=True, eq=False)
class Plane:
    """What networks say of events of two features, wherever these lie.

    Attributes:
        x: (n,) values of the first feature.
        y: (n,) of the second.
        scores: (K, n, n) of the last class, of each network; rows are values of ``y``.
        source: (N, 2) events that were trained on.
        label: (N,) theirs, by class.
        target: (M, 2) likewise.
        classes: names of the two.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    scores: NDArray[np.float32]
    source: NDArray[np.float32]
    label: NDArray[np.int32]
    target: NDArray[np.float32]
    classes: NDArray[np.str_]


@dataclass(frozen=True)
class Trial:
    """Trains some networks; a worker process does it, and goes on where another was stopped.

    Attributes:
        key: names it within the benchmark.
        tensors: the tensor file.
        make: makes it where it is not there; what it makes is removed when the trial is done.
        folder: for checkpoints and the result.
        train: settings; the oracle is "train on target".
        lambdas: of adversarial methods, each with all seeds.
        shallow: whether to measure the proxy A-distance of the feature layers, and to choose λ by
            reverse validation.
        scale: factor on all features in place of their standardisation, which makes rare words
            large and a rotation none; ``None`` standardises.
        subspace: whether to score subspace alignment of the feature layers of source-only too.
        labelled: training pictures of the target whose labels are trained on with the source's,
            each so often that they are a tenth of it.
        only: methods that train, "oracle" among them; empty for all.
        title: of the line of its networks in the table; default their method.
    """

    key: str
    tensors: Path
    folder: Path
    train: TrainConfig
    lambdas: tuple[float, ...] = (1.0,)
    shallow: bool = False
    scale: float | None = None
    only: tuple[str, ...] = ()
    make: Callable[[Path], object] | None = None
    subspace: bool = False
    labelled: int = 0
    title: str | None = None

    @property
    def fingerprint(self) -> str:
        """Of all that the result depends on."""
        settings = self.train.model_dump(mode="json", by_alias=True)
        settings.pop("workers")
        words = [_VERSION, settings, self.lambdas, self.shallow, self.scale, self.only]
        words += [self.labelled] if self.labelled else []
        return hashlib.sha256(json.dumps(words).encode()).hexdigest()

    @property
    def place(self) -> Path:
        """The folder of these settings; others leave what they have in folders of their own."""
        return self.folder / self.fingerprint[:12]

    def result(self) -> list[MemberResult] | None:
        """What it found before, if it was done with the same settings.

        Raises:
            RunError: the file of the result is damaged.
        """
        path = self.place / _RESULT
        if not path.exists():
            return None
        content = read_json(path, dict[str, Any], mend="remove the folder, and start again")
        members: list[MemberResult] = content.get("members", [])
        return members if content.get("fingerprint") == self.fingerprint else None

    def plane(self) -> Plane | None:
        """What its networks say of all values of two features; ``None`` of other events.

        Raises:
            RunError: the file is damaged.
        """
        if not (path := self.place / _PLANE).exists():
            return None
        return Plane(**_loaded(path))

    def __call__(self, link: Link) -> list[MemberResult]:
        """Train and measure; the result is written when all is done.

        Raises:
            Interrupted: it was asked to stop; checkpoints are left.
        """
        known = self.result()
        if known is not None:
            return known
        torch.set_num_threads(1)
        self.place.mkdir(parents=True, exist_ok=True)
        link.report((f"{self.key}: reading", None))  # no step: a signal ends it where it is
        if self.make is not None and not self.tensors.exists():
            self.make(self.tensors)
        domains, train = prepare_training(self.train, open_tensors(self.tensors), None)
        if self.scale is not None:
            flat = np.zeros_like(domains.scaling.mean)
            scaling = Scaling(domains.scaling.impute, flat, flat + 1 / self.scale)
            domains = replace(domains, scaling=scaling)
        if self.labelled:
            domains = _with_target_labels(domains, self.labelled, self.train.seed)
        stacks = Stacks(train, domains, {}, plan=self._plan)
        link.saves()

        def progress(what: str, now: Progress) -> None:
            link.report((f"{self.key}: {what}", now))

        hooks = Hooks(lambda _: None, progress, link.stop)
        trained = []
        for shard in stacks.shards:
            files = ShardFiles.of_run(self.place, shard)
            observer = stacks.peek(files.scores)
            done = train_shard(shard, stacks, files, self.fingerprint, hooks, observer)
            if not done.whole:
                raise Interrupted("interrupted", where=self.folder, mend="start it again")
            trained.append(done)
        link.report((f"{self.key}: measuring", None))
        members = []
        for done in trained:
            of_shard = _accuracies(done)
            if domains.images is not None:  # each seed is a trial of its own
                _write_scores(self.place / _SCORES, domains, done)
            if self.shallow:
                self._measure(domains, done, of_shard)
            members += of_shard
            if self.subspace:
                members += _subspace(domains, done)
        content = {"fingerprint": self.fingerprint, "members": members}
        write_whole(self.place / _RESULT, json.dumps(content, indent=1).encode())
        if self.make is not None:
            self.tensors.unlink(missing_ok=True)
        return members

    def _plan(self, train: TrainConfig, places: SourceIndices, lean: bool) -> list[StackPlan]:
        """The members of a run, the adversarial ones at each λ."""
        plans = plan_stacks(train, places, lean)
        members: list[Member] = [
            replace(member, lambda_=value)
            for plan in plans
            for member in plan.members
            if not self.only or member.label in self.only
            for value in (self.lambdas if member.method.adversarial else (member.lambda_,))
        ]
        return group_members(members, train, lean)

    def _measure(self, domains: Domains, done: Trained, members: list[MemberResult]) -> None:
        """Add ``distance``, ``reverse_validation`` and ``mean_score`` to each member.

        The distance is that of the feature layer on the training splits. Reverse validation trains
        on the target as the member labels it, and is right on so much of the validation split of
        the source. Neither sees a label of the target. ``mean_score`` is the accuracy of the mean
        score over the seeds, on the test split.
        """
        source, target = domains.source.part("train"), domains.target.part("train")
        held, seed = domains.source.part("validation"), self.train.seed
        layers = []
        with done.trainer.chosen() as network:
            statistics = torch.tensor([m.method.target_domain for m in done.trainer.members])
            for features, of in ((source.features, 0 * statistics), (target.features, statistics)):
                x = np.ascontiguousarray(domains.scaling.apply(features).T)
                layer = network.latent(torch.from_numpy(x).unsqueeze(0), of)
                layers.append(layer.transpose(1, 2).contiguous().numpy())
            scores, tests = (
                classify(network, domains.target.part(split).features, domains.scaling, statistics)
                for split in ("train", "test")
            )
            if len(domains.scaling.mean) == 2:
                self._draw(domains, network, statistics)
        alike = [
            [(m["method"], m["lambda"]) == (other["method"], other["lambda"]) for m in members]
            for other in members
        ]
        right = _right(domains, [tests[rows].mean(axis=0) for rows in alike])
        narrow = target.features, held.features
        if (wide := len(domains.scaling.mean)) > _MOST_FEATURES:  # distances are kept
            matrix = np.random.default_rng(seed).standard_normal((wide, _MOST_FEATURES))
            narrow = narrow[0] @ matrix.astype("f4"), narrow[1] @ matrix.astype("f4")
        reverse = reverse_validation(list(scores), *narrow, held.label, seed=seed)
        for k, member in enumerate(members):
            member["distance"] = proxy_distance(layers[0][k], layers[1][k], seed)
            member["reverse_validation"] = reverse[k]
            member["mean_score"] = right[k]

    def _draw(
        self, domains: Domains, network: AdversarialNetwork, statistics: torch.Tensor
    ) -> None:
        """Write the :class:`Plane` of the networks."""
        source, target = domains.source.part("train"), domains.target.part("train")
        events = np.concatenate([source.features, target.features])
        low, high = events.min(axis=0), events.max(axis=0)
        room = _MARGIN * (high - low)
        x, y = np.linspace(low - room, high + room, _CELLS, dtype=np.float32).T
        grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        scores = classify(network, grid, domains.scaling, statistics)[..., -1]
        plane = Plane(
            x, y, scores.reshape(-1, _CELLS, _CELLS), source.features, source.label,
            target.features, np.array(source.classes),
        )  # fmt: skip
        content = BytesIO()
        np.savez_compressed(content, **vars(plane))
        write_whole(self.place / _PLANE, content.getbuffer())


def _with_target_labels(domains: Domains, number: int, seed: int) -> Domains:
    """The same with some labelled training pictures of the target among those of the source."""
    truth, images, source = truth_of(domains), domains.images, domains.source
    assert truth is not None
    assert images is not None
    train = np.flatnonzero(domains.target.split == 0)
    drawn = np.random.default_rng(seed).permutation(train)[:number]
    rows = np.tile(drawn, max(1, round(0.1 * domains.n_train / len(drawn))))
    labelled = oracle_source(truth, domains.target, source.classes).take(rows)
    joined: dict[str, Any] = {
        name: np.concatenate([value, getattr(labelled, name)])
        for name, value in vars(source).items()
        if isinstance(value, np.ndarray)
    }
    kind: Any = type(images.source)
    pixels = kind.join([images.source, images.target.take(rows)])
    return replace(domains, source=replace(source, **joined), images=replace(images, source=pixels))


def _write_scores(path: Path, domains: Domains, done: Trained) -> None:
    """Write the scores (K, n, C) of the pictures that are watched."""
    rows = watched_rows(domains.target, images=True)
    with done.trainer.chosen() as network:
        statistics = torch.tensor([m.method.target_domain for m in done.trainer.members])
        scores = classify(network, domains.inputs("target")[rows], None, statistics)
    content = BytesIO()
    np.save(content, scores)
    write_whole(path, content.getbuffer())


def _loaded(path: Path) -> Any:
    """The array of a file, or its arrays by name."""
    try:
        content = np.load(path)
        if not isinstance(content, np.lib.npyio.NpzFile):
            return content
        with content:
            return dict(content)
    except (EOFError, MemoryError, OSError, ValueError, BadZipFile) as error:
        mend = "remove its folder, and start again"
        raise RunError(f"is damaged: {error}", where=path, mend=mend) from error


def mean_score_accuracy(trials: Sequence[Trial]) -> float | None:
    """Accuracy of the mean score of some trials' networks on the pictures that are watched.

    ``None`` where a trial has left no scores.

    Raises:
        RunError: scores are damaged.
    """
    paths = [trial.place / _SCORES for trial in trials]
    if not all(path.exists() for path in paths):
        return None
    domains, _ = prepare_training(trials[0].train, open_tensors(trials[0].tensors), None)
    score = np.concatenate([_loaded(path) for path in paths]).mean(axis=0)
    return _right(domains, [score], watched_rows(domains.target, images=True))[0]


def _right(
    domains: Domains, scores: Sequence[NDArray[np.floating]], rows: NDArray[np.intp] | None = None
) -> list[float | None]:
    """Accuracies of scores (n, C) of rows of the target, by default of its test split."""
    truth = truth_of(domains)
    assert truth is not None
    rows = np.flatnonzero(domains.target.split == 2) if rows is None else rows
    observer = PeekObserver(truth, domains.target, rows)
    observer.record(0, scores)
    return [observer.accuracy(0, k) for k in range(len(scores))]


def _subspace(domains: Domains, done: Trained) -> list[MemberResult]:
    """Subspace alignment of the feature layer of each source-only network."""
    fitted = {
        domain: np.flatnonzero(split == 0)[:_MOST_ALIGNED]
        for domain, split in (("source", domains.source.split), ("target", domains.target.split))
    }
    test = np.flatnonzero(domains.target.split == 2)
    with done.trainer.chosen() as network:
        layers = [
            feature_layer(network, domains.inputs(domain)[rows], None, 0)
            for domain, rows in (*fitted.items(), ("target", test))
        ]
    label = domains.source.label[fitted["source"]]
    scores, dimension = subspace_scores(layers[0], label, layers[1], layers[2])
    (right,) = _right(domains, [scores])
    return [{
        "method": "subspace alignment", "lambda": 0.0, "seed": done.trainer.members[0].seed,
        "epochs": 0, "last": right, "chosen": right, "peeked": right, "dimension": dimension,
    }]  # fmt: skip


def _accuracies(done: Trained) -> list[MemberResult]:
    """Target accuracies of the members: at the end, chosen without labels, and peeked.

    Of pictures the epoch is chosen that is expected to be right most often on the target, of
    others that of the smallest label loss on the source.
    """
    trainer, observer = done.trainer, done.observer
    assert isinstance(observer, PeekObserver)
    rows: list[MemberResult] = []
    for k, member in enumerate(trainer.members):
        epochs = [row for row in trainer.history if int(str(row["member"])) == k]
        accuracies = [observer.accuracy(int(str(row["epoch"])) - 1, k) or 0.0 for row in epochs]
        expected = [-float(str(row.get("target_expected_accuracy", "nan"))) for row in epochs]
        losses = [float(str(row["validation_loss"])) for row in epochs]
        decisive = losses if np.isnan(expected).any() else expected
        rows.append({
            "method": "train on target" if member.name == ORACLE else member.label,
            "lambda": member.lambda_ if member.method.adversarial else 0.0,
            "seed": member.seed,
            "epochs": len(epochs),
            "autocast": trainer.network.shape.autocast,
            "last": accuracies[-1],
            "chosen": accuracies[int(np.argmin(decisive))],
            "peeked": max(accuracies),
        })  # fmt: skip
    return rows
