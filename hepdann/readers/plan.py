"""Everything that is decided before an event is converted, and checked against the pre-scan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..config import Config, ConvertConfig, FeatureConfig
from ..errors import ConfigError, ReadError
from .columns import Columns, compile_columns, compile_text
from .expressions import Expression
from .inputs import Input, check_types, common
from .scan import Branch, FileScan
from .zero_config import event_id_branches, looks_like, numeric_scalars, present_everywhere

__all__ = ["Feature", "LeftOut", "Plan", "SamplePlan", "make_plan"]


@dataclass(frozen=True)
class Feature:
    """One input column and what a missing value in it looks like."""

    name: str
    expression: Expression
    settings: FeatureConfig

    def info(self) -> dict[str, Any]:
        """What the tensor file tells about the column."""
        settings = self.settings
        return {
            "title": settings.title,
            "expression": self.expression.text,
            "missing": settings.missing,
            "impute": settings.impute,
            "indicator_of": None,
        }


@dataclass(frozen=True)
class LeftOut:
    """A branch that did not become a feature, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class SamplePlan:
    """How the entries of one sample become events.

    Attributes:
        source: the sample and its files.
        index: its number among the names of its domain.
        columns: what its branches offer.
        label: expression of the class index; ``None`` where every event has class ``class_``.
        class_: name of the class of every event.
        cut: the selection.
        weight: expression of the weight; ``None`` for 1.
        weights: further weights; ``None`` stands for the nominal weight.
        spectators: expressions; ``None`` where data has no such branch.
        id_branches: the branches that identify an event.
        branches: all branches to read.
    """

    source: Input
    index: int
    columns: Columns
    label: Expression | None
    class_: str | None
    cut: Expression | None
    weight: Expression | None
    weights: Mapping[str, Expression | None]
    spectators: tuple[Expression | None, ...]
    id_branches: tuple[str, ...]
    branches: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The whole conversion, but for the classes that a label branch turns out to have.

    Attributes:
        features: the inputs, in order, without the indicator columns.
        spectators: names of the spectators.
        samples: MC first.
        names: domain to sample names.
        weights: names of further weights.
        label: text of the label expression.
        left_out: branches that are no features.
        notes: what the user should know.
    """

    features: tuple[Feature, ...]
    spectators: tuple[str, ...]
    samples: tuple[SamplePlan, ...]
    names: Mapping[str, tuple[str, ...]]
    weights: tuple[str, ...]
    label: str | None
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]


def make_plan(inputs: Sequence[Input], config: Config, label: str | None) -> Plan:
    """Choose the columns and check them against every file.

    Args:
        inputs: the samples.
        config: the configuration.
        label: the label branch or expression, found or given; ``None`` if the samples have classes.

    Raises:
        ConfigError: an expression that does not fit the branches, or columns that clash.
        ReadError: a branch that is missing in a file, or of another type there.
    """
    convert = config.convert
    shared = Columns.of(common(inputs))
    names: dict[str, list[str]] = {}
    for entry in inputs:
        known = names.setdefault(entry.domain, [])
        if entry.config.name not in known:
            known.append(entry.config.name)
    offered = Columns.of(inputs[0].files[0].branches)
    spectators = [
        pair
        for text in convert.spectators
        for pair in compile_columns(text, None, offered, what="spectator")
    ]
    notes: list[str] = []
    reserved = _reserved(inputs, convert, label, offered, [e for _, e in spectators])
    if convert.features is None:
        features = _default_features(inputs, shared, reserved, convert)
    else:
        features = _given_features(convert, offered)
    _check_columns(features, [name for name, _ in spectators], reserved)
    samples = [
        _sample_plan(entry, config, label, features, spectators, names, notes) for entry in inputs
    ]
    check_types(inputs, [sample.branches for sample in samples])
    left_out = _left_out(inputs, shared, features, reserved, explicit=convert.features is not None)
    return Plan(
        tuple(features),
        tuple(name for name, _ in spectators),
        tuple(samples),
        {domain: tuple(known) for domain, known in names.items()},
        tuple(convert.weights),
        label,
        tuple(left_out),
        tuple(dict.fromkeys(notes)),
    )


def _reserved(
    inputs: Sequence[Input],
    convert: ConvertConfig,
    label: str | None,
    columns: Columns,
    spectators: Iterable[Expression],
) -> dict[str, str]:
    """Branches that have another part to play, with that part."""
    parts: dict[str, str] = {}
    own = [entry.config.weight for entry in inputs]
    weights = [convert.weight, convert.data_weight, *convert.weights.values(), *own]
    for name in convert.event_id or ():
        parts[name] = "an event id"
    for expression in spectators:
        parts |= dict.fromkeys(columns.reads(expression), "a spectator")
    for text in filter(None, weights):
        reads = columns.reads(compile_text(text, columns, what="weight"))
        parts |= dict.fromkeys(reads, "the weight" if len(reads) == 1 else "part of the weight")
    if label is not None:
        reads = columns.reads(compile_text(label, columns, what="label"))
        parts |= dict.fromkeys(reads, "the label" if len(reads) == 1 else "part of the label")
    return parts


def _default_features(
    inputs: Sequence[Input], shared: Columns, reserved: Mapping[str, str], convert: ConvertConfig
) -> list[Feature]:
    """The numeric scalars of every file, less what is or looks like something else."""
    _check_partial(inputs, reserved)
    taken = [
        name
        for name in numeric_scalars(shared.branches.values())
        if name not in reserved and looks_like(name) is None
    ]
    if not taken:
        files = [entry.files[0].path for entry in inputs]
        raise ConfigError(
            "the files have no numeric scalar branch in common that could be a feature",
            where=", ".join(dict.fromkeys(files)),
            mend="name the features (--features), or the tree (--tree)",
        )
    settings = [FeatureConfig(name=name, missing=convert.missing) for name in taken]
    return [
        Feature(s.name, compile_text(s.name, shared, what="feature"), s) for s in settings
    ]


def _check_partial(inputs: Sequence[Input], reserved: Mapping[str, str]) -> None:
    """A branch of both domains that some files lack is a mistake in the files, not a choice."""
    files = [file for entry in inputs for file in entry.files]
    domains = {
        domain: {n for e in inputs if e.domain == domain for f in e.files for n in f.branches}
        for domain in (entry.domain for entry in inputs)
    }
    for file in files:
        for name, branch in file.branches.items():
            if name in reserved or looks_like(name) is not None or not branch.scalar:
                continue
            if not all(name in names for names in domains.values()):
                continue
            lacks = next((other for other in files if name not in other.branches), None)
            if lacks is not None:
                raise ReadError(
                    f"branch '{name}' is missing here, {file.path} has it",
                    where=f"{lacks.path}:{lacks.tree}",
                    mend="remove the file, or name the features (--features)",
                )


def _given_features(convert: ConvertConfig, columns: Columns) -> list[Feature]:
    features = []
    for settings in convert.feature_configs() or []:
        pairs = compile_columns(settings.name, settings.expression, columns, what="feature")
        features += [Feature(name, expression, settings) for name, expression in pairs]
    return features


def _check_columns(
    features: Sequence[Feature], spectators: Sequence[str], reserved: Mapping[str, str]
) -> None:
    columns = [feature.name for feature in features]
    columns += [f"{f.name}_missing" for f in features if f.settings.indicator]
    for kind, names in (("feature", columns), ("spectator", spectators)):
        twice = sorted({name for name in names if list(names).count(name) > 1})
        if twice:
            raise ConfigError(f"{kind} '{twice[0]}' is named twice", mend="name it once")
    for feature in features:
        part = reserved.get(feature.expression.names[0]) if feature.expression.is_name else None
        if part is not None and part != "a spectator":
            raise ConfigError(
                f"'{feature.name}' is {part} and a feature: the network would read it off",
                mend="take it out of the features",
            )
        if not feature.expression.names:
            raise ConfigError("reads no branch", where=feature.expression.where)


def _sample_plan(
    entry: Input,
    config: Config,
    label: str | None,
    features: Sequence[Feature],
    spectators: Sequence[tuple[str, Expression]],
    names: Mapping[str, Sequence[str]],
    notes: list[str],
) -> SamplePlan:
    convert, sample, first = config.convert, entry.config, entry.files[0]
    columns = Columns.of(first.branches)

    def compiled(text: str | None, what: str) -> Expression | None:
        if text is None:
            return None
        expression = compile_text(text, columns, what=f"{what} of {entry.where}")
        columns.check(expression, first)
        return expression

    for feature in features:
        columns.check(feature.expression, first)
    weight = sample.weight or (convert.data_weight if entry.detector else convert.weight)
    labelled = entry.domain == "mc" and sample.class_ is None
    variations = convert.weights if entry.domain == "mc" else {}
    expressions = {
        "cut": compiled(sample.cut, "cut"),
        "weight": compiled(weight, "weight"),
        "label": compiled(label, "label") if labelled else None,
    }
    weights = {
        name: None if entry.detector else compiled(text, f"weight '{name}'")
        for name, text in variations.items()
    }
    kept = tuple(_spectator(entry, columns, name, e, notes) for name, e in spectators)
    ids = _id_branches(entry, convert.event_id, notes)
    used = [*expressions.values(), *weights.values(), *kept, *(f.expression for f in features)]
    reads = [branch for expression in used for branch in columns.reads(expression)]
    return SamplePlan(
        source=entry,
        index=list(names[entry.domain]).index(sample.name),
        columns=columns,
        class_=sample.class_,
        weights=weights,
        spectators=kept,
        id_branches=ids,
        branches=tuple(dict.fromkeys([*reads, *ids])),
        **expressions,
    )


def _spectator(
    entry: Input, columns: Columns, name: str, expression: Expression, notes: list[str]
) -> Expression | None:
    absent = [n for n in expression.names if n not in columns.refs]
    if entry.domain == "data" and absent:
        notes.append(f"spectator {name} is NaN in data, which has no branch '{absent[0]}'")
        return None
    columns.check(expression, entry.files[0])
    return expression


def _id_branches(
    entry: Input, given: Sequence[str] | None, notes: list[str]
) -> tuple[str, ...]:
    """The branches that identify an event: those given, those named so, or all scalars."""
    everywhere = present_everywhere(entry.files)
    name = entry.config.name
    if given:
        for branch in given:
            _check_id(entry.files, branch)
        if not event_id_branches({b: everywhere[b] for b in given}) and all(
            looks_like(b) == "an event id" and b.lower().startswith(("run", "lumi")) for b in given
        ):
            raise ConfigError(
                f"{' and '.join(given)} alone name no event",
                where="convert.event_id",
                mend="add the event number, or leave event_id out",
            )
        return tuple(given)
    found = event_id_branches(everywhere)
    if found:
        notes.append(f"{name}: events are identified by {', '.join(found)}")
        return found
    scalars = tuple(sorted(numeric_scalars(everywhere.values())))
    if not scalars:
        raise ReadError(
            "no branch identifies an event, and there is no scalar branch to make an id of",
            where=f"{entry.files[0].path}:{entry.files[0].tree}",
        )
    alone = "run alone names no event, " if any(looks_like(b) == "an event id" for b in scalars) else ""
    notes.append(f"{name}: {alone}events are identified by all {len(scalars)} scalar branches")
    return scalars


def _check_id(files: Sequence[FileScan], branch: str) -> None:
    for file in files:
        found = file.branches.get(branch)
        if found is None or not found.scalar:
            raise ReadError(
                f"no scalar branch '{branch}', of convert.event_id",
                where=f"{file.path}:{file.tree}",
                mend="name run, lumi and event branches, or leave event_id out",
            )


def _left_out(
    inputs: Sequence[Input],
    shared: Columns,
    features: Sequence[Feature],
    reserved: Mapping[str, str],
    *,
    explicit: bool,
) -> list[LeftOut]:
    used = {branch for f in features for branch in shared.reads(f.expression)}
    seen: dict[str, tuple[Branch, str]] = {}
    for entry in inputs:
        for name, branch in common([e for e in inputs if e.domain == entry.domain]).items():
            seen.setdefault(name, (branch, entry.domain))
    result = []
    for name, (branch, domain) in seen.items():
        if name in used:
            continue
        guess = looks_like(name)
        if name in reserved:
            reason = f"is {reserved[name]}"
        elif branch.dtype is None:
            reason = branch.reason
        elif name not in shared.branches:
            reason = f"only in {domain}"
        elif explicit:
            reason = "not named in the features"
        elif branch.shape:
            reason = f"an array of {'x'.join(map(str, branch.shape))}: name it to take it"
        else:
            reason = f"looks like {guess}"
        result.append(LeftOut(name, reason))
    return result
