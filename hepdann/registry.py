"""What users can add, by name: one contract for all kinds of it.

The kinds are shifts, alignments, methods, networks, criteria and figures. A name stands for one of
hepdann's own, for what a user registered in this process, or for an entry point of an installed
package, in a group such as ``hepdann.methods``. Nothing is imported before its name is looked up,
so that a configuration can be checked without importing torch. A name is only ever looked up; no
text of a configuration or of a run folder is taken for a module.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from .errors import ConfigError

T = TypeVar("T")
Thing = TypeVar("Thing")

PARAMETRISED = "parametrised"  # the parameters of the map are an input of the network
CALIBRATED = ("calibrated", "calibrated-known", PARAMETRISED)  # a calibration maps their MC
SOURCE_ONLY = "source-only"  # its networks score what an alignment maps
PRIOR = f"{SOURCE_ONLY}+prior"  # its scores on the target, corrected for the class fractions there
ORACLE = "oracle"  # knows the target's labels, and is no candidate

_RESERVED = "+/,:"  # join names, or separate them on the command line and in files


class UnknownNameError(ConfigError, KeyError):
    """Nothing of that name was registered, and no installed package has it."""


class Registry(Mapping[str, T]):
    """Things of one kind by name: hepdann's own first, then what was registered or is installed.

    Iteration and ``in`` import nothing. A name of hepdann's own is never replaced. A user may
    register a name again, as re-run notebook cells need, and stands before an entry point of that
    name. Two packages that claim one name are refused when it is asked for.

    Args:
        kind: what they are, in the singular.
        plural: likewise; their entry points are in the group ``hepdann.<plural>``.
        where: the key of a configuration that names one, for errors.
        convert: ``module:function`` that makes of a name, an object and options what is kept of it.
        own: hepdann's own, each as ``module:attribute`` within hepdann.
    """

    def __init__(
        self, kind: str, plural: str, where: str, convert: str, own: Mapping[str, str]
    ) -> None:
        self.kind = kind
        self.group = f"hepdann.{plural}"
        self.own = own
        self._where = where
        self._convert = convert
        self._registered: dict[str, T] = {}
        self._loaded: dict[EntryPoint, T] = {}

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys((*self.own, *self._registered, *_installed(self.group)))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self._registered or name in _installed(self.group)

    def __getitem__(self, name: str) -> T:
        """What a name stands for, imported now.

        Raises:
            UnknownNameError: there is none of that name; the nearest_name is given.
            ConfigError: several packages claim it, or the one that has it cannot be imported.
        """
        if name in self._registered:
            return self._registered[name]
        entries = _installed(self.group).get(name, ())
        claims = [*(["hepdann"] if name in self.own else []), *map(_package, entries)]
        if len(claims) > 1:
            raise ConfigError(
                f"the {self.kind} {name!r} is claimed by {' and '.join(claims)}",
                where=self._where,
                mend=f"uninstall {claims[-1]}, or have it take another name",
            )
        if name in self.own:
            thing: T = _resolve(self.own[name])
            return thing
        if not entries:
            raise UnknownNameError(
                f"unknown {self.kind} {name!r}", where=self._where, mend=self.suggestion(name)
            )
        return self._load(entries[0])

    def add(self, name: str, thing: object, **options: Any) -> T:
        """Register a thing, and give what is kept; one that had the name before is replaced.

        The name is without ``+``, ``/``, ``,`` and ``:``; the options are those of the kind.

        Raises:
            ConfigError: the name is hepdann's own or unusable, or the thing is of another kind.
        """
        self._check_free(name)
        self._registered[name] = self._converted(name, thing, options)
        return self._registered[name]

    def decorator(self, name: str, **options: Any) -> Callable[[Thing], Thing]:
        """Register what stands below, and leave it as it is; see :meth:`add`."""
        self._check_free(name)

        def decorate(thing: Thing) -> Thing:
            self.add(name, thing, **options)
            return thing

        return decorate

    def _check_free(self, name: str) -> None:
        if name in self.own:
            raise ConfigError(
                f"{name!r} is one of hepdann's own {self.group.partition('.')[2]}",
                where=self._where,
                mend="take another name",
            )
        if not name or name != name.strip() or set(name) & set(_RESERVED):
            raise ConfigError(
                f"{name!r} cannot name a {self.kind}", where=self._where, mend="take a plain name"
            )

    def registered(self, names: Iterable[str]) -> dict[str, T]:
        """Those of the names that were registered in this process, which another does not know."""
        wanted = set(names)
        return {name: thing for name, thing in self._registered.items() if name in wanted}

    def restore(self, things: Mapping[str, T]) -> None:
        """Register what :meth:`registered` gave in another process."""
        self._registered.update(things)

    def suggestion(self, name: str) -> str:
        """What to take in place of a name that is unknown."""
        return suggestion(name, list(self), "known:", quoted=True)

    def _converted(self, name: str, thing: object, options: Mapping[str, Any]) -> T:
        kept: T = _resolve(self._convert)(name, thing, **options)
        return kept

    def _load(self, entry: EntryPoint) -> T:
        """Import what an installed package has under a name, as if it were registered."""
        if entry not in self._loaded:
            try:
                thing = entry.load()
            except Exception as error:
                package = _package(entry)
                raise ConfigError(
                    f"the {self.kind} {entry.name!r} of {package} cannot be imported: "
                    f"{type(error).__name__}: {error}",
                    where=self._where,
                    mend=f"mend {package}, or uninstall it",
                ) from error
            # a decorator in the package knows the options; every process imports the package anew
            kept = self._registered.pop(entry.name, None)
            self._loaded[entry] = self._converted(entry.name, thing, {}) if kept is None else kept
        return self._loaded[entry]


def _resolve(reference: str) -> Any:
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(f".{module}", __package__), attribute)


def _installed(group: str) -> Mapping[str, tuple[EntryPoint, ...]]:
    """The entry points of a group by name; more than one where several packages claim it."""
    return _entries(group, tuple(sys.path))


@lru_cache(maxsize=64)
def _entries(group: str, path: tuple[str, ...]) -> Mapping[str, tuple[EntryPoint, ...]]:
    del path  # of the packages that were found
    entries: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in sorted(entry_points(group=group), key=_package):
        entries[entry.name] = (*entries.get(entry.name, ()), entry)
    return entries


def _package(entry: EntryPoint) -> str:
    return f"the package {entry.dist.name}" if entry.dist else entry.value


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` was most likely meant to be, ``None`` if none is near.

    Case, hyphens and underscores do not count.
    """

    def plain(text: str) -> str:
        return text.lower().replace("_", "-").strip("-")

    originals = {plain(candidate): candidate for candidate in reversed(list(known))}
    close = difflib.get_close_matches(plain(name), originals, n=1, cutoff=0.6)
    return originals[close[0]] if close else None


def suggestion(
    name: str, known: Sequence[str], otherwise: str = "there are", *, quoted: bool = False
) -> str:
    """What to take in place of an unknown name: the nearest_name one, else all that there are."""
    near = nearest_name(name, known)
    if near is None:
        return f"{otherwise} {', '.join(known) or 'none'}"
    return f"did you mean '{near}'?" if quoted else f"did you mean {near}?"


def method_of(name: str) -> tuple[str, str]:
    """The alignment ("" for none) and the method of ``alignment+method``."""
    before, _, last = name.rpartition("+")
    return "" if before in CALIBRATED else before, last


def calibration_of(name: str) -> str:
    """The calibration of the MC that ``calibrated`` and ``calibrated+method`` train on, or ""."""
    first = name.partition("+")[0]
    return first if first in CALIBRATED else ""


def _in(module: str, *names: str) -> dict[str, str]:
    """Constants of a module, called like the names that they are registered by."""
    return {name: f"{module}:{name.replace('-', '_').upper()}" for name in names}


SHIFTS: Registry[Any] = Registry(
    "shift",
    "shifts",
    "train.shift",
    "shifts.registry:as_entry",
    _in(
        "shifts.registry",
        *("identity", "sine", "sine-third", "sine-cubed", "sine-fifth", "cosine", "gaussian"),
        *("energy-scale", "energy-smear", "dead-channels"),
        *("missing-objects", "pt-scale", "dead-region"),
    ),
)
ALIGNMENTS: Registry[Any] = Registry(
    "alignment",
    "alignments",
    "train.alignments",
    "alignment.registry:as_mapper",
    {
        "moments": "alignment.linear:Moments",
        "quantile": "alignment.quantile:QuantileMap",
        "gaussian-ot": "alignment.linear:GaussianTransport",
        "sliced": "alignment.quantile:SlicedTransport",
        "affine": "alignment.adversary:AffineMap",
    },
)
METHODS: Registry[Any] = Registry(
    "method",
    "methods",
    "train.methods",
    "methods.base:as_method",
    _in("methods.dann", "source-only", "calibrated", "calibrated-known")
    | {PARAMETRISED: "methods.dann:AWARE"}
    | _in(
        "methods.dann",
        *("dann", "dann-alternating", "dann-joint", "hybrid-dann", "hybrid-alternating"),
        "cdan",
    )
    | _in("methods.distance", "mmd", "coral")
    | _in("methods.dann", "self-training")
    | _in("methods.decorrelation", "pivot", "pivot-alternating", "dann-pivot", "disco", "planing")
    | _in("methods.mixtures", "cwola", "llp", "llp-unbiased"),
)
NETWORKS: Registry[Any] = Registry(
    "network",
    "networks",
    "train.network",
    "networks.registry:as_factory",
    {
        "deepsets": "networks.objects:deepsets",
        "ganin-mnist": "networks.pictures:ganin_mnist",
        "ganin-svhn": "networks.pictures:ganin_svhn",
        "ganin-gtsrb": "networks.pictures:ganin_gtsrb",
        "minerva-small": "networks.minerva:minerva_small",
        "minerva-medium": "networks.minerva:minerva_medium",
        "minerva-2016": "networks.minerva:minerva_2016",
        "minerva-2018": "networks.minerva:minerva_2018",
        "minerva-reference": "networks.minerva:minerva_reference",
        "shapes-cnn": "networks.pictures:shapes_cnn",
        "shapes-fc": "networks.pictures:shapes_fc",
        "transformer": "networks.objects:transformer",
    },
)
CRITERIA: Registry[Any] = Registry(
    "criterion",
    "criteria",
    "criteria",
    "criteria.table:as_criterion",
    _in(
        "criteria.table",
        *("agreement", "reverse_validation", "reverse_validation_aligned", "source_loss"),
        *("consistency", "consistency_study", "soft_neighbourhood", "entropy", "infomax", "iwv"),
        *("dev", "prior_match", "domain_auc", "residual_auc"),
    ),
)
FIGURES: Registry[Any] = Registry(
    "figure",
    "figures",
    "plots.figures",
    "plotting.jobs:as_figure",
    {
        "loss": "plotting.performance:loss_jobs",
        "roc": "plotting.configured:roc_jobs",
        "scores": "plotting.configured:score_jobs",
        "data_mc": "plotting.configured:data_mc_jobs",
        "calibration": "plotting.performance:calibration_jobs",
        "confusion": "plotting.configured:confusion_jobs",
        "correlation": "plotting.performance:correlation_jobs",
        "efficiency": "plotting.configured:efficiency_jobs",
        "importance": "plotting.performance:importance_jobs",
        "segments": "plotting.segments:segment_jobs",
        "latent": "plotting.performance:latent_jobs",
        "nuisance": "plotting.performance:nuisance_jobs",
        "misclassified": "plotting.segments:misclassified_jobs",
    },
)
