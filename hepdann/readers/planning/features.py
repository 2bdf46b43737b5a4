"""Which columns become inputs of events and of objects, nominal and varied."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...config import ConversionConfig, ConvertConfig, FeatureConfig, ObjectsConfig
from ...config.samples import VariationConfig
from ...errors import ConfigError, ReadError
from ...expressions import Expression
from ...tensors import Collection
from ..files import FileRef
from ..prescan import Branch, FileScan, scan, suggest
from .columns import (
    Columns,
    ObjectColumns,
    compile_columns,
    compile_text,
    looks_like,
    numeric_scalars,
)
from .input_samples import Input, common

_BEGINS = ("{0}_", "{0}/{0}.", "{0}AuxDyn.", "{0}AuxDyn:", "{0}AuxDyn/{0}AuxDyn.", "{0}.")


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


def taken_branches(
    inputs: Sequence[Input],
    convert: ConvertConfig,
    label: str | None,
    columns: Columns,
    spectators: Iterable[Expression],
) -> dict[str, str]:
    """Branches that have another part to play, with that part."""
    lists = [b for e in inputs for b in e.files[0].branches.values() if b.counter == f"n{b.name}"]
    parts = {b.counter: f"the length of {b.name} alone: name it to take it" for b in lists}
    own = [entry.config.weight for entry in inputs]
    weights = [convert.weight, convert.data_weight, *convert.weights.values(), *own]
    for name in convert.event_id or ():
        parts[name] = "an event id"
    for expression in spectators:
        if expression.is_name:  # pt / 2 as a spectator leaves pt an input
            parts |= dict.fromkeys(columns.reads(expression), "a spectator")
    for text in filter(None, weights):
        expression = compile_text(text, columns, what="weight")
        reads = columns.reads(expression)
        is_weight = expression.scaled_name in reads  # weight, or 0.39 * weight
        parts |= dict.fromkeys(reads, "the weight" if is_weight else "part of the weight")
    if label is not None:
        reads = columns.reads(compile_text(label, columns, what="label"))
        parts |= dict.fromkeys(reads, "the label" if len(reads) == 1 else "part of the label")
    return parts


def default_features(
    inputs: Sequence[Input], shared: Columns, taken: Mapping[str, str], convert: ConvertConfig
) -> list[Feature]:
    """The numeric scalars of every file, less what is or looks like something else."""
    _check_partial(inputs, taken)
    names = [
        name
        for name in numeric_scalars(shared.branches.values())
        if name not in taken and looks_like(name, shared.branches[name].dtype) is None
    ]
    if not names and not convert.objects:
        files = [entry.files[0].path for entry in inputs]
        raise ConfigError(
            "the files have no numeric scalar branch in common that could be a feature",
            where=", ".join(dict.fromkeys(files)),
            mend="name the features (--features), or the tree (--tree)",
        )
    settings = [FeatureConfig(name=name, missing=convert.missing) for name in names]
    return [Feature(s.name, compile_text(s.name, shared, what="feature"), s) for s in settings]


def _check_partial(inputs: Sequence[Input], taken: Mapping[str, str]) -> None:
    """A branch of both domains that some files lack is a mistake in the files, not a choice."""
    files = [file for entry in inputs for file in entry.files]
    domains = {
        domain: {n for e in inputs if e.domain == domain for f in e.files for n in f.branches}
        for domain in (entry.domain for entry in inputs)
    }
    for file in files:
        for name, branch in file.branches.items():
            if name in taken or looks_like(name, branch.dtype) or not branch.scalar:
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


def given_features(convert: ConvertConfig, columns: Columns) -> list[Feature]:
    """The features that the user listed; an array branch gives one for each element."""
    features = []
    for settings in convert.feature_configs() or []:
        pairs = compile_columns(settings.name, settings.expression, columns, what="feature")
        features += [Feature(name, expression, settings) for name, expression in pairs]
    return features


def check_columns(
    features: Sequence[Feature], spectators: Sequence[str], taken: Mapping[str, str]
) -> None:
    """Whether the columns have names of their own, and no input gives the answer away.

    Raises:
        ConfigError: a name comes twice, or a feature is the label, a weight or an event id.
    """
    columns = [feature.name for feature in features]
    columns += [f"{f.name}_missing" for f in features if f.settings.indicator]
    for kind, names in (("feature", columns), ("spectator", spectators)):
        twice = sorted({name for name in names if list(names).count(name) > 1})
        if twice:
            raise ConfigError(f"{kind} '{twice[0]}' is named twice", mend="name it once")
    for feature in features:
        parts = {taken.get(name.split("[", 1)[0]) for name in feature.expression.names}
        # a spectator may be an input too, and a weight may take part in one; the label may not
        refused = {"the label"}
        if feature.expression.is_name:
            refused |= {"the weight", "an event id"}
        for part in sorted(refused & parts - {None}):
            raise ConfigError(
                f"'{feature.name}' is {part}, or made of it, and cannot be a feature",
                mend="take it out of the features",
            )
        if not feature.expression.names:
            raise ConfigError("reads no branch", where=feature.expression.where)


def explain_left_out(
    inputs: Sequence[Input],
    shared: Columns,
    features: Sequence[Feature],
    taken: Mapping[str, str],
    *,
    explicit: bool,
) -> list[LeftOut]:
    """The branches that are no features, each with the reason.

    Args:
        inputs: the samples.
        shared: the columns that every file has.
        features: the inputs.
        taken: branches that have another part to play.
        explicit: whether the user listed the features.
    """
    used = {branch for f in features for branch in shared.reads(f.expression)}
    first_of: dict[str, tuple[Branch, str]] = {}
    for entry in inputs:
        for name, branch in common([e for e in inputs if e.domain == entry.domain]).items():
            first_of.setdefault(name, (branch, entry.domain))
    result = []
    for name, (branch, domain) in first_of.items():
        if name in used:
            continue
        guess = looks_like(name, branch.dtype)
        if name in taken:
            reason = f"is {taken[name]}"
        elif branch.element is not None:
            reason = f"{branch.reason}: name an element to take it, {name}[0], or --objects"
        elif branch.dtype is None:
            reason = branch.reason
        elif name not in shared.branches:
            reason = f"only in {domain}"
        elif explicit:
            reason = "not named in the features"
        elif branch.shape:
            reason = f"an array of {'x'.join(map(str, branch.shape))}: name it to take it"
        else:
            reason = f"looks like {guess}" if guess else "not needed beside images"
            if guess == "a weight":
                reason += ", which is used if --weight names it"
        result.append(LeftOut(name, reason))
    return result


@dataclass(frozen=True)
class ObjectPlan:
    """How the lists of one sample become the objects of a collection.

    Attributes:
        collection: what the tensor file gets.
        features: of each object.
        cut: the selection of objects.
        sort: what orders them; ``None`` leaves them as they are.
        descending: whether the largest is the first.
        columns: what the branches of the sample offer.
        lists: the lists that are read, with a number for each object.
        label: whose values are classes; ``None`` where objects have none, as those of data.
        values: of each class.
    """

    collection: Collection
    features: tuple[Feature, ...]
    cut: Expression | None
    sort: Expression | None
    descending: bool
    columns: ObjectColumns
    lists: tuple[str, ...]
    label: Expression | None = None
    values: tuple[tuple[int, ...], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are read, each once."""
        return tuple(dict.fromkeys(name for one in self.expressions for name in one.names))

    @property
    def branches(self) -> tuple[str, ...]:
        """The branches that are read."""
        return tuple(branch for one in self.expressions for branch in self.columns.reads(one))

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Everything that is computed of the lists."""
        features = (feature.expression for feature in self.features)
        return (*features, *filter(None, (self.cut, self.sort, self.label)))


def with_objects(inputs: Sequence[Input], config: ConversionConfig) -> ConversionConfig:
    """The configuration with the features of all objects, those that were not named as well.

    Raises:
        ConfigError: no list of numbers in every file has such a name.
    """
    resolved = {}
    for name, settings in config.convert.objects.items():
        if settings.features is None:
            features = _lists_of(name, common(inputs), inputs[0].files[0])
            if settings.label is not None:
                features = [one for one in features if one != settings.label.branch]
            settings = settings.model_copy(update={"features": features})
        resolved[name] = settings
    convert = config.convert.model_copy(update={"objects": resolved})
    return config.model_copy(update={"convert": convert})


def _lists_of(name: str, branches: Mapping[str, Branch], first: FileScan) -> list[str]:
    """The lists of objects called ``name``: NanoAOD's Jet_pt, EDM4hep's and PHYSLITE's members."""
    begins = tuple(begin.format(name) for begin in _BEGINS)
    members = [one for one in branches.values() if one.name.startswith(begins)]
    features = [
        one.name
        for one in members
        if one.element is not None and looks_like(re.split("[.:]", one.name)[-1]) is None
    ]
    if features:
        return features
    where, kinds = f"{first.path}:{first.tree}", {one.reason: one for one in members}
    if members:
        refused = ", ".join(f"{one.name} ({one.typename})" for one in kinds.values())
        raise ConfigError(
            f"objects '{name}' have no list of numbers: {refused}",
            where=where,
            mend=f"name lists, --objects {name}:LIST, or write such with a number for each object",
        )
    known = {one.name.split("_")[0].split("/")[0] for one in branches.values() if one.element}
    raise ConfigError(
        f"no lists begin with '{name}_' or '{name}.'",
        where=where,
        mend=suggest(name, known, what="objects"),
    )


def object_plans(entry: Input, convert: ConvertConfig) -> tuple[ObjectPlan, ...]:
    """The plan of each collection for a sample.

    Raises:
        ConfigError: an expression that does not fit the branches, or that reads no list.
    """
    columns = ObjectColumns(**vars(Columns.of(entry.files[0].branches)))
    simulated = entry.domain == "mc" and not entry.detector
    plans = [
        _plan(name, one, convert, columns, labelled=simulated)
        for name, one in convert.objects.items()
    ]
    for plan in plans:
        for expression in plan.expressions:
            columns.check(expression, entry.files[0])
        for feature in plan.features:
            reads = columns.reads(feature.expression)
            if not set(reads) & set(plan.lists):
                raise ConfigError(
                    "reads no list, and is the same for all objects of an event",
                    where=feature.expression.where,
                    mend="name it among the features of the event (--features)",
                )
    return tuple(plans)


def _plan(
    name: str,
    settings: ObjectsConfig,
    convert: ConvertConfig,
    columns: ObjectColumns,
    *,
    labelled: bool,
) -> ObjectPlan:
    def compiled(text: str | None, what: str) -> Expression | None:
        what = f"{what} of objects '{name}'"
        return None if text is None else compile_text(text, columns, what=what)

    features = []
    for feature, text in settings.expressions.items():
        expression = compile_text(text, columns, what=f"feature of objects '{name}'")
        named = FeatureConfig(name=feature, missing=convert.missing)
        features.append(Feature(feature, expression, named))
    cut, sort = compiled(settings.cut, "cut"), compiled(settings.sort, "sort")
    label, values = None, dict[str, tuple[int, ...]]()
    if settings.label is not None:
        for one, given in settings.label.classes.items():
            values[one] = (given,) if isinstance(given, int) else tuple(given)
        label = compiled(settings.label.branch if labelled else None, "label")
    expressions = [feature.expression for feature in features]
    expressions += filter(None, (cut, sort, label))
    reads = dict.fromkeys(n for e in expressions for n in e.names if columns.is_list(n))
    return ObjectPlan(
        Collection(name, tuple(settings.expressions), settings.max, tuple(values)),
        tuple(features), cut, sort, settings.descending, columns, tuple(reads),
        label, tuple(values.values()),
    )  # fmt: skip


@dataclass(frozen=True)
class Variation:
    """The features of MC as a systematic variation has them.

    Attributes:
        tree: of the same file that holds them; ``None`` for the nominal tree.
        features: in the order of the nominal ones.
    """

    tree: str | None
    features: tuple[Feature, ...]


def vary(
    name: str,
    config: VariationConfig,
    features: Sequence[Feature],
    columns: Columns,
    file: FileScan,
) -> Variation:
    """Put the expressions of a variation in the place of the nominal ones.

    Args:
        name: of the variation.
        config: what the user wrote.
        features: the nominal ones.
        columns: what the branches of the nominal tree offer.
        file: the first of the sample.

    Raises:
        ConfigError: no such feature, or an expression that does not fit the branches.
        ReadError: no such tree.
    """
    key = f"convert.variations.{name}"
    known = [feature.name for feature in features]
    unknown = [feature for feature in config.features if feature not in known]
    if unknown:
        mend = suggest(unknown[0], known, what="features")
        raise ConfigError(f"no feature '{unknown[0]}'", where=f"{key}.features", mend=mend)
    if config.tree is not None:
        (file,) = scan([FileRef(file.path, config.tree)])
        columns = Columns.of(file.branches)
    varied = []
    for feature in features:
        if text := config.features.get(feature.name):
            expression = compile_text(text, columns, what=f"feature {feature.name} of {key}")
            feature = replace(feature, expression=expression)
        columns.check(feature.expression, file)
        varied.append(feature)
    return Variation(config.tree, tuple(varied))
