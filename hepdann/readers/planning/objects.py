"""Which lists become objects, and how: found or named, compiled against a sample's branches."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...config import ConversionConfig, ConvertConfig, FeatureConfig, ObjectsConfig
from ...errors import ConfigError
from ...expressions import Expression
from ...tensors import Collection
from ..prescan import Branch, FileScan, suggest
from .branch_roles import looks_like
from .columns import Columns, ObjectColumns, compile_text
from .features import Feature
from .input_samples import Input, common

_BEGINS = ("{0}_", "{0}/{0}.", "{0}AuxDyn.", "{0}AuxDyn:", "{0}AuxDyn/{0}AuxDyn.", "{0}.")


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
    """

    collection: Collection
    features: tuple[Feature, ...]
    cut: Expression | None
    sort: Expression | None
    descending: bool
    columns: ObjectColumns
    lists: tuple[str, ...]

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
        return (*features, *filter(None, (self.cut, self.sort)))


def with_objects(inputs: Sequence[Input], config: ConversionConfig) -> ConversionConfig:
    """The configuration with the features of all objects, those that were not named as well.

    Raises:
        ConfigError: no list of numbers in every file has such a name.
    """
    resolved = {}
    for name, settings in config.convert.objects.items():
        if settings.features is None:
            features = _lists_of(name, common(inputs), inputs[0].files[0])
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
    plans = [_plan(name, one, convert, columns) for name, one in convert.objects.items()]
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
    name: str, settings: ObjectsConfig, convert: ConvertConfig, columns: ObjectColumns
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
    expressions = [*(feature.expression for feature in features), *filter(None, (cut, sort))]
    reads = dict.fromkeys(n for e in expressions for n in e.names if columns.is_list(n))
    collection = Collection(name, tuple(settings.expressions), settings.max)
    return ObjectPlan(
        collection, tuple(features), cut, sort, settings.descending, columns, tuple(reads)
    )
