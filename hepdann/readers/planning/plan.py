"""Everything that is decided before an event is converted, and checked against the pre-scan."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

from ...config import ConversionConfig, ImagesConfig
from ...errors import ConfigError, ReadError
from ...expressions import Expression
from ...tensors import Collection, View
from .columns import (
    Columns,
    compile_columns,
    compile_text,
    event_id_branches,
    looks_like,
    numeric_scalars,
    present_everywhere,
)
from .features import (
    Feature,
    LeftOut,
    ObjectPlan,
    Variation,
    check_columns,
    default_features,
    explain_left_out,
    given_features,
    object_plans,
    taken_branches,
    vary,
)
from .input_samples import Input, Skips, check_types, common
from .selection import LumiMask, Selection


@dataclass(frozen=True)
class SamplePlan:
    """How the entries of one sample become events.

    Attributes:
        source: the sample and its files.
        index: its number among the names of its domain.
        columns: what its branches offer.
        label: expression of the class index; ``None`` where every event has class ``class_``.
        class_: name of the class of every event.
        selection: which entries become events.
        weight: expression of the weight; ``None`` for 1.
        weights: further weights; ``None`` stands for the nominal weight.
        variations: the features as each systematic variation has them; none of detector events,
            which are what they are.
        spectators: expressions; ``None`` where data has no such branch.
        id_branches: the branches that identify an event.
        split: expression of the split, see :class:`.SplitConfig`; ``None`` for the hash.
        objects: of each collection.
        branches: all branches to read.
    """

    source: Input
    index: int
    columns: Columns
    label: Expression | None
    class_: str | None
    selection: Selection
    weight: Expression | None
    weights: Mapping[str, Expression | None]
    variations: Mapping[str, Variation]
    spectators: tuple[Expression | None, ...]
    id_branches: tuple[str, ...]
    split: Expression | None
    objects: tuple[ObjectPlan, ...]
    branches: tuple[str, ...]

    @property
    def cut(self) -> Expression | None:
        """The cut."""
        return self.selection.cut


@dataclass(frozen=True)
class ImagePlan:
    """The images of a conversion.

    Attributes:
        views: what the tensor file gets; all have the same channels.
        settings: with everything filled in, so that new data can be converted alike.
    """

    views: tuple[View, ...]
    settings: ImagesConfig


@dataclass(frozen=True)
class Plan:
    """A conversion that can begin, once it is known which classes a label branch has.

    Attributes:
        config: settings, with those that were found.
        features: the inputs, in order, without the indicator columns.
        spectators: names of the spectators.
        samples: MC first.
        names: domain to sample names.
        weights: names of further weights.
        variations: names of systematic variations.
        label: text of the label expression of MC, which the truth of data has too.
        left_out: branches that are no features.
        notes: what the user should know.
        classes: names by label.
        images: what images are made; ``None`` of tables.
        may_be_empty: whether a class may be without events.
    """

    config: ConversionConfig
    features: tuple[Feature, ...]
    spectators: tuple[str, ...]
    samples: tuple[SamplePlan, ...]
    names: Mapping[str, tuple[str, ...]]
    weights: tuple[str, ...]
    variations: tuple[str, ...]
    label: str | None
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    classes: tuple[str, ...] = ()
    images: ImagePlan | None = None
    may_be_empty: bool = False

    @property
    def views(self) -> tuple[View, ...]:
        """The images of an event."""
        return () if self.images is None else self.images.views

    @property
    def objects(self) -> tuple[Collection, ...]:
        """The collections of objects, in order; the same of every sample."""
        return tuple(plan.collection for plan in self.samples[0].objects)


def make_plan(
    inputs: Sequence[Input],
    config: ConversionConfig,
    label: str | None,
    skips: Skips | None = None,
    *,
    hidden: Container[str] = (),
) -> Plan:
    """Choose the columns and check them against every file.

    Args:
        inputs: the samples.
        config: the configuration.
        label: the label branch or expression, found or given; ``None`` if the samples have classes.
        skips: what to do with a file that does not fit the first of its sample.
        hidden: spectators that are not taken from data, even where they have them.

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
    notes: dict[str, list[str]] = {}
    taken = taken_branches(inputs, convert, label, offered, [e for _, e in spectators])
    if convert.features is None:
        features = default_features(inputs, shared, taken, convert)
    else:
        features = given_features(convert, offered)
    check_columns(features, [name for name, _ in spectators], taken)
    samples = []
    for entry in inputs:
        visible = [(n, e) for n, e in spectators if entry.domain == "mc" or n not in hidden]
        sample = _sample_plan(entry, config, label, features, visible, names, notes)
        kept = dict(zip((name for name, _ in visible), sample.spectators, strict=True))
        samples.append(replace(sample, spectators=tuple(kept.get(n) for n, _ in spectators)))
    check_types(inputs, [sample.branches for sample in samples], skips)
    of_objects: dict[str, str] = {}
    for plan in samples[0].objects:
        check_columns(plan.features, (), taken)
        of_objects |= dict.fromkeys(plan.lists, f"of the objects {plan.collection.name}")
    explicit = convert.features is not None
    rest = explain_left_out(inputs, shared, features, of_objects | taken, explicit=explicit)
    return Plan(
        config,
        tuple(features),
        tuple(name for name, _ in spectators),
        tuple(samples),
        {domain: tuple(known) for domain, known in names.items()},
        tuple(convert.weights),
        tuple(convert.variations),
        label,
        tuple(rest),
        tuple(f"{', '.join(dict.fromkeys(who))}: {text}" for text, who in notes.items()),
    )


def _sample_plan(
    entry: Input,
    config: ConversionConfig,
    label: str | None,
    features: Sequence[Feature],
    spectators: Sequence[tuple[str, Expression]],
    names: Mapping[str, Sequence[str]],
    notes: dict[str, list[str]],
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
        "weight": compiled(weight, "weight"),
        "label": compiled(label, "label") if labelled else None,
        "split": compiled(convert.split.by, "split"),
    }
    weights = {
        name: None if entry.detector else compiled(text, f"weight '{name}'")
        for name, text in variations.items()
    }
    varied = {}
    if entry.domain == "mc" and not entry.detector:
        for name, one in convert.variations.items():
            varied[name] = vary(name, one, features, columns, first)
    kept = _spectators(entry, columns, spectators, notes)
    objects = object_plans(entry, convert)
    ids = _id_branches(entry, convert.event_id, notes)
    _check_split(expressions["split"], columns, ids)
    mask = None
    if convert.lumi_mask is not None and entry.detector:
        mask = LumiMask.read(convert.lumi_mask, first.branches, f"{first.path}:{first.tree}")
    selection = Selection(columns, compiled(sample.cut, "cut"), mask)
    used = [*expressions.values(), *weights.values(), *kept, *(f.expression for f in features)]
    for variation in varied.values():
        used += [f.expression for f in variation.features if variation.tree is None]
    reads = [branch for expression in used for branch in columns.reads(expression)]
    reads += [branch for plan in objects for branch in plan.branches]
    return SamplePlan(
        source=entry,
        index=list(names[entry.domain]).index(sample.name),
        columns=columns,
        class_=sample.class_,
        weights=weights,
        variations=varied,
        spectators=kept,
        id_branches=ids,
        selection=selection,
        branches=tuple(dict.fromkeys([*reads, *selection.branches, *ids])),
        objects=objects,
        **expressions,
    )


def _check_split(split: Expression | None, columns: Columns, ids: Sequence[str]) -> None:
    """A split follows from the identity alone: jets of one event, and copies of it, share one."""
    other = [name for name in columns.reads(split) if name not in ids]
    if split is not None and (other or not split.names):
        what = (
            f"reads {other[0]}, which is no branch of the event id" if other else "reads no branch"
        )
        raise ConfigError(
            f"{what} ({', '.join(ids)})",
            where=split.where,
            mend=f"add it (--event-id {','.join([*ids, *other])}), or split by the event number",
        )


def _spectators(
    entry: Input,
    columns: Columns,
    spectators: Sequence[tuple[str, Expression]],
    notes: dict[str, list[str]],
) -> tuple[Expression | None, ...]:
    """Those of the sample; ``None`` where data have no such branch, which is noted."""
    kept: list[Expression | None] = []
    absent: dict[str, str] = {}
    for name, expression in spectators:
        lacks = [n for n in expression.names if columns.find(n) is None]
        if entry.domain == "data" and lacks:
            absent[name] = lacks[0]
            kept.append(None)
        else:
            columns.check(expression, entry.files[0])
            kept.append(expression)
    if absent:
        name, branch = next(iter(absent.items()))
        text = f"spectator {name} is NaN, there is no branch '{branch}'"
        if len(absent) > 1:
            text = f"spectators {', '.join(absent)} are NaN, their branches are not there"
        notes.setdefault(text, []).append(entry.config.name)
    return tuple(kept)


def _id_branches(
    entry: Input, given: Sequence[str] | None, notes: dict[str, list[str]]
) -> tuple[str, ...]:
    """The branches that identify an event: those given, those named so, or all scalars."""
    everywhere = present_everywhere(entry.files)
    name = entry.config.name
    if given:
        first = entry.files[0].branches
        for branch in given:
            if branch not in first or not first[branch].scalar:
                raise ReadError(
                    f"no scalar branch '{branch}', of convert.event_id",
                    where=f"{entry.files[0].path}:{entry.files[0].tree}",
                    mend="name run, lumi and event branches, or leave event_id out",
                )
        if not event_id_branches({b: first[b] for b in given}) and all(
            looks_like(b) == "an event id" and b.lower().startswith(("run", "lumi")) for b in given
        ):
            raise ConfigError(
                f"{' and '.join(given)} alone name no event",
                where="convert.event_id",
                mend="add the event number, or leave event_id out",
            )
        return tuple(given)
    id_branches = event_id_branches(everywhere)
    if id_branches:
        notes.setdefault(f"events are identified by {', '.join(id_branches)}", []).append(name)
        return id_branches
    scalars = tuple(sorted(numeric_scalars(everywhere.values())))
    if not scalars:
        raise ReadError(
            "no branch identifies an event, and there is no scalar branch to make an id of",
            where=f"{entry.files[0].path}:{entry.files[0].tree}",
        )
    alone = [b for b in scalars if looks_like(b) == "an event id"]
    text = f"{alone[0]} alone names no event, " if alone else ""
    text += f"events are identified by all {len(scalars)} scalar branches"
    notes.setdefault(text, []).append(name)
    return scalars
