"""A trained model: every method's networks, the scaling and the maps that belong to it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from .._version import __version__
from ..alignment import Alignment, from_dict
from ..errors import ConfigError, RunError
from ..inputs import check, read_tensors
from ..methods import method_of
from ..networks import AdversarialNetwork, NetworkShape, ViewShape
from ..outputs import write_run_file
from ..store.model_header import LAMBDA_KEYS, ModelHeader, least_weights, stored_maps
from ..tensors import Hits
from ..training import Scaling, threads
from .input_columns import InputColumns
from .mixture import Mixture, corrected

__all__ = ["BASE", "PRIOR", "Model", "Part", "Scores", "network_of", "prior_corrected"]

FORMAT, FORMAT_VERSION = "hepdann-model", 1
_ROWS = 32_768  # events scored at a time, at most
_BYTES = 64 << 20  # of inputs scored at a time

Pass = Callable[[AdversarialNetwork, slice], None]
DOMAINS = {"source": 0, "target": 1}
BASE = "source-only"  # its networks score what an alignment maps
PRIOR = f"{BASE}+prior"  # its scores on the target, corrected for the target's class fractions


@dataclass(frozen=True, eq=False)
class Scores:
    """What a method says of events.

    Attributes:
        members: (K, N, C) class probabilities of each member.
        domain: (N,) mean domain score; near 1 is target.
    """

    members: NDArray[np.float32]
    domain: NDArray[np.float32]

    @property
    def mean(self) -> NDArray[np.float32]:
        """(N, C) the method's prediction: the mean over its members."""
        mean: NDArray[np.float32] = self.members.mean(axis=0)
        return mean


@dataclass(frozen=True, eq=False)
class Part:
    """The members of one method.

    Attributes:
        network: with averaged weights and fixed statistics, on the CPU.
        target_domain: whose statistics score the target, 0 source or 1 target.
        lambda_: (K,) λ of each member.
        seeds: (K,) seed of each member.
    """

    network: AdversarialNetwork
    target_domain: int
    lambda_: tuple[float, ...]
    seeds: tuple[int, ...]


def prior_corrected(correction: tuple[float, ...] | None) -> dict[str, Mixture]:
    """Source-only with its scores on the target brought to the target's class fractions.

    Source: Saerens, Latinne and Decaestecker, Neural Computation 14 (2002) 21, equation 2.4.

    Args:
        correction: (C,) logarithm of the target's over the source's fraction of each class;
            ``None`` where these do not differ, which gives nothing.
    """
    return {} if correction is None else {PRIOR: Mixture((BASE,), (correction,))}


def network_of(
    shape: NetworkShape, seeds: Sequence[int], state: dict[str, torch.Tensor]
) -> AdversarialNetwork:
    """Networks with these weights, fixed, one a seed."""
    dtype = next(iter(state.values())).dtype
    network = AdversarialNetwork(shape, seeds).to(dtype)
    network.load_state_dict(state)
    return network.eval()


@dataclass(frozen=True, eq=False)
class Model:
    """Everything that scoring new events needs.

    Attributes:
        features: names of the inputs, in order.
        classes: class names by index.
        scaling: of the features.
        alignments: map target features onto the source's; each is a method, scored by the networks
            of source-only.
        parts: the trained networks of each method; ``alignment+method`` was trained on, and
            scores, the target that this alignment maps.
        mixtures: predictions that are made of those of other methods.
        correction: (C,) logarithm of the target's estimated over the source's class fractions, by
            which alignments correct their scores; ``None`` where the source's fractions hold.
            What adapts was trained at the target's fractions, and needs none.
        views: name, channels, height and width of the images that the networks see in place of the
            features; empty if they see the features.
        missing: the sentinel of each feature that has one.
        indicators: columns that are 1 where a feature is missing, with that feature.
    """

    features: tuple[str, ...]
    classes: tuple[str, ...]
    scaling: Scaling
    alignments: dict[str, Alignment]
    parts: dict[str, Part]
    mixtures: dict[str, Mixture] = field(default_factory=dict)
    correction: tuple[float, ...] | None = None
    views: tuple[ViewShape, ...] = ()
    missing: dict[str, float] = field(default_factory=dict)
    indicators: dict[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> InputColumns:
        """How events that were not converted become features."""
        return InputColumns(self.features, self.missing, self.indicators)

    @property
    def inputs(self) -> int:
        """Numbers that a network sees of an event."""
        if self.views:
            return sum(channels * height * width for _, channels, height, width in self.views)
        return len(self.features)

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods that can score, baselines first and the oracle last."""
        trained = list(self.parts)
        aligned = list(self.alignments) if BASE in trained else []
        middle = [name for name in trained if name not in (BASE, "oracle")]
        last = ["oracle"] if "oracle" in trained else []
        first = [name for name in (BASE, PRIOR) if name in trained or name in self.mixtures]
        mixed = [name for name in self.mixtures if name != PRIOR]
        return (*first, *aligned, *middle, *mixed, *last)

    def adapts(self, method: str) -> bool:
        """Whether the method scores the target by the target's own statistics."""
        if method in self.mixtures:
            return False  # it has no domain head of its own
        return self._part(method).target_domain == 1

    def align(self, features: NDArray[np.float32], method: str) -> NDArray[np.float32]:
        """Target features (N, F) as the alignment of the method maps them, if it has one."""
        name = method if method in self.alignments else method_of(method)[0]
        return self.alignments[name].apply(features) if name else features

    def move(self, device: str) -> None:
        """Let the networks score on another device; events come and go as arrays all the same."""
        for part in self.parts.values():
            part.network.to(device)

    def _part(self, method: str) -> Part:
        return self.parts[BASE if method in self.alignments else method]

    def score(
        self, features: NDArray[np.float32] | Hits, method: str, domain: str = "target"
    ) -> Scores:
        """Score events.

        Args:
            features: (N, F) in the order of ``features``, unscaled; NaN is missing. Of images their
                pixels, view after view.
            method: one of :attr:`methods`.
            domain: "target" for data, "source" for MC.

        Raises:
            RunError: no such method or domain, or another number of features.
        """
        if method not in self.methods:
            raise RunError(f"no method {method!r}", mend=f"there are {', '.join(self.methods)}")
        if features.ndim != 2 or features.shape[1] != self.inputs:
            views = [f"{name} {shape}" for name, *shape in self.views]
            raise RunError(
                f"features of shape {features.shape}, expected (N, {self.inputs})",
                mend=f"give {', '.join(views or self.features)}",
            )
        which = _domain(domain)
        if method in self.mixtures:
            mixture = self.mixtures[method]
            part_scores = [self.score(features, part, domain) for part in mixture.parts]
            members = mixture.combine([f.members for f in part_scores], target=bool(which))
            return Scores(members, np.mean([f.domain for f in part_scores], axis=0))
        if which and isinstance(features, np.ndarray):
            features = self.align(features, method)
        part = self._part(method)
        network, n = part.network, len(features)
        scores = np.empty((network.members, n, len(self.classes)), np.float32)
        domain_scores = np.empty((network.members, n), np.float32)
        statistics = part.target_domain if which else 0

        def pass_(network_copy: AdversarialNetwork, rows: slice) -> None:
            events = self._tensor(features[rows], network_copy)
            given = network_copy.predict(events, statistics)
            scores[:, rows], domain_scores[:, rows] = (x.float().cpu().numpy() for x in given)

        self._each(network, n, pass_)
        if which and method in self.alignments:
            scores = corrected(scores, self.correction)
        return Scores(scores, domain_scores.mean(axis=0))

    def latent(
        self, features: NDArray[np.float32] | Hits, method: str, domain: str = "target"
    ) -> NDArray[np.float32]:
        """Feature layer (N, H) of the method's first member; of a mixture, of its first part."""
        which = _domain(domain)
        if method in self.mixtures:
            method = self.mixtures[method].parts[0]
        if which and isinstance(features, np.ndarray):
            features = self.align(features, method)
        network, statistics = self._part(method).network, self._part(method).target_domain
        layers: dict[int, NDArray[np.float32]] = {}

        def pass_(network_copy: AdversarialNetwork, rows: slice) -> None:
            x = self._tensor(features[rows], network_copy)
            layers[rows.start] = (
                network_copy.latent(x, statistics if which else 0)[0].T.float().cpu().numpy()
            )

        self._each(network, len(features), pass_)
        return np.concatenate([layers[start] for start in sorted(layers)])

    def _each(
        self,
        network: AdversarialNetwork,
        n: int,
        pass_: Callable[[AdversarialNetwork, slice], None],
    ) -> None:
        """Pass n events portion by portion.

        Images go side by side, in as many threads as torch has, each with a network of its own:
        the convolutions are too small to be shared between threads.
        """
        portions = self._portions(n)
        count = min(torch.get_num_threads(), len(portions)) if self.views else 1
        if count == 1:
            for rows in portions:
                pass_(network, rows)
            return
        idle: SimpleQueue[AdversarialNetwork] = SimpleQueue()
        for network_copy in (network, *(copy.deepcopy(network) for _ in range(count - 1))):
            idle.put(network_copy)

        def one(rows: slice) -> None:
            network_copy = idle.get()
            try:
                pass_(network_copy, rows)
            finally:
                idle.put(network_copy)

        alone = partial(torch.set_num_threads, 1)
        with threads(1), torch.random.fork_rng([]), ThreadPoolExecutor(count, "", alone) as pool:
            list(pool.map(one, portions))

    def _portions(self, n: int) -> list[slice]:
        """Events that are scored at a time; at least one portion, empty of no events."""
        most = max(1, min(_ROWS, _BYTES // (4 * self.inputs)))
        return [slice(start, start + most) for start in range(0, max(n, 1), most)]

    def _tensor(self, features: NDArray[np.float32], network: AdversarialNetwork) -> torch.Tensor:
        weights = next(network.parameters())
        if self.views:  # pixels are not scaled, and an event stays one piece of memory
            return torch.from_numpy(features).to(weights).T.unsqueeze(0)
        scaled = np.ascontiguousarray(self.scaling.apply(features).T)
        return torch.from_numpy(scaled).to(weights).unsqueeze(0)

    def save(self, path: Path) -> None:
        """Write ``model.safetensors``; what is not a weight travels as JSON in its header."""
        tensors = {
            f"{name}.{key}": value.contiguous()
            for name, part in self.parts.items()
            for key, value in part.network.state_dict().items()
        }
        header = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "hepdann": __version__,
            "features": self.features,
            "classes": self.classes,
            "scaling": self.scaling.to_dict(),
            "alignments": {name: one.to_dict() for name, one in self.alignments.items()},
            "correction": self.correction,
            "views": self.views,
            "missing": self.missing,
            "indicators": self.indicators,
            "methods": {
                name: {
                    "shape": asdict(part.network.shape),
                    "target_domain": part.target_domain,
                    "lambda": part.lambda_,
                    "seeds": part.seeds,
                }
                for name, part in self.parts.items()
            },
            "mixtures": {name: mixture.to_dict() for name, mixture in self.mixtures.items()},
        }
        write_run_file(path, save(tensors, metadata={"hepdann": json.dumps(header)}))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote.

        What is read has scored an event with each method when it is given back: the widths of
        networks, scaling and alignments fit each other.

        Raises:
            RunError: missing, damaged, or of another version.
        """
        texts, tensors = read_tensors(path)
        try:
            header = json.loads(texts.get("hepdann", "{}"))
        except (ValueError, RecursionError) as error:
            raise RunError(f"is damaged: {error}", where=path, mend="train anew") from error
        content = header if isinstance(header, dict) else {}
        if (content.get("format"), content.get("format_version")) != (FORMAT, FORMAT_VERSION):
            raise RunError(
                "not a model of this version", where=path, mend="train anew with this version"
            )
        check(header, ModelHeader, path)
        broken = [key for key, value in tensors.items() if not torch.isfinite(value).all()]
        if broken:
            what = f"is damaged: {broken[0]} holds numbers that are not finite"
            raise RunError(what, where=path, mend="train anew")
        try:
            model = cls._of(header, tensors)
            model._try()
        except ConfigError:  # a network, or a map, that nobody has registered
            raise
        except Exception as error:
            # the header is code's to interpret: what does not fit shows in any way
            what = f"is damaged: {type(error).__name__}: {error}"
            raise RunError(what[:300], where=path, mend="train anew") from error
        return model

    @classmethod
    def _of(cls, header: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Self:
        return cls(
            tuple(header["features"]),
            tuple(header["classes"]),
            Scaling.from_dict(header["scaling"]),
            {name: from_dict(e) for name, e in stored_maps(header).items()},
            {name: _load_part(name, e, tensors) for name, e in header["methods"].items()},
            {name: Mixture.from_dict(e) for name, e in header.get("mixtures", {}).items()},
            None if header.get("correction") is None else tuple(header["correction"]),
            tuple(tuple(view) for view in header.get("views", ())),
            header.get("missing", {}),  # a model of an earlier day knows no sentinels
            header.get("indicators", {}),
        )

    def _try(self) -> None:
        """Score an event with each method.

        Raises:
            ValueError: a score is no probability, or an alignment changes the number of features.
            Exception: whatever comes of networks and maps that do not fit.
        """
        event = np.zeros((1, self.inputs), np.float32)
        widths = {len(value) for value in vars(self.scaling).values()}
        if not self.views and widths != {len(self.features)}:
            raise ValueError(f"{len(self.features)} features, and a scaling of {sorted(widths)}")
        for name, one in self.alignments.items():
            if one.apply(event).shape != event.shape:
                raise ValueError(f"{name} maps another number of features")
        for method in self.methods:
            for domain in DOMAINS:
                scores = self.score(event, method, domain)
                if not (np.isfinite(scores.members).all() and np.isfinite(scores.domain).all()):
                    raise ValueError(f"{method} gives a score that is no number")


def _domain(name: str) -> int:
    if name not in DOMAINS:
        raise RunError(f"no domain {name!r}", mend='"source" scores MC, "target" scores data')
    return DOMAINS[name]


def _load_part(name: str, entry: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Part:
    entries = entry["shape"].items()
    shape: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entries}
    shape["views"] = tuple(tuple(view) for view in shape.get("views", ()))
    start = f"{name}."
    state = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
    weights = sum(value.numel() for value in state.values())
    if len(entry["seeds"]) * least_weights(shape) > weights:  # before memory is taken for them
        raise ValueError(f"{name} has {weights} weights, and its layers more")
    return Part(
        network_of(NetworkShape(**shape), entry["seeds"], state),
        entry["target_domain"],
        tuple(next(entry[key] for key in LAMBDA_KEYS if key in entry)),
        tuple(entry["seeds"]),
    )
