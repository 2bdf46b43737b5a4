"""What the sections of a configuration share: checks, their base, types of values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

from ..errors import ConfigError
from ..registry import ALIGNMENTS, CALIBRATED, METHODS, PARAMETRISED, SHIFTS, Registry, nearest_name

if TYPE_CHECKING:
    from ..expressions import Expression
    from .samples import ConversionConfig, ConvertConfig, SampleConfig


def refuse(message: str, *path: str | int, mend: str | None = None) -> NoReturn:
    """Raise what :mod:`hepdann.config.report` turns into a :class:`ConfigError`."""
    raise PydanticCustomError(
        "hepdann", "{message}", {"message": message, "path": path, "mend": mend}
    )


def _list(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in dict.fromkeys(names))


def _parsed(text: str) -> Expression | None:
    """The expression; ``None`` of a text that does not parse, which the conversion refuses."""
    from ..expressions import parse  # brings NumPy, which most of a configuration does without

    try:
        return parse(text)
    except ConfigError:
        return None


def _branches(text: str) -> set[str]:
    """The branches that an expression reads, whole arrays for their elements."""
    expression = _parsed(text)
    if expression is None:
        return {text}
    return {name.partition("[")[0] for name in expression.names}


def _scaled_name(text: str) -> str | None:
    """The branch that an expression is, up to a constant factor; ``None`` if it is more."""
    expression = _parsed(text)
    return None if expression is None else expression.scaled_name


def proposal(name: str, known: Iterable[str], otherwise: str) -> str:
    """The known name that was most likely meant, or else what to do."""
    near = nearest_name(name, known)
    return f"did you mean '{near}'?" if near else otherwise


def check_known(name: str, known: tuple[str, ...], what: str, *path: str | int) -> None:
    """The name is one of those known."""
    if name not in known:
        hint = proposal(name, known, f"known: {', '.join(known)}")
        refuse(f"unknown {what} '{name}'", *path, mend=hint)


def check_registered(name: str, registry: Registry[Any]) -> None:
    """The name is hepdann's own, or was registered, or an installed package has it."""
    if name not in registry:
        refuse(f"unknown {registry.kind} '{name}'", mend=registry.suggestion(name))


def check_calibrated(name: str) -> None:
    """A method follows a calibration, and nothing stands between them."""
    first, *others = name.split("+")
    if len(others) != 1 or others[0] in CALIBRATED or first == PARAMETRISED:
        refuse(f"'{name}' is no method on calibrated MC", mend=f"write {CALIBRATED[0]}+dann")
    check_registered(others[0], METHODS)


def check_unique(names: Iterable[str], what: str, *path: str | int) -> None:
    """No name comes twice."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        refuse(f"{what} {_list(twice)} given more than once", *path, mend="keep each name once")


def check_features(convert: ConvertConfig) -> None:
    """Inputs are distinct, and none of them is the label, a weight, an event id, a spectator."""
    check_unique(convert.spectators, "spectator", "spectators")
    check_unique(convert.event_id or [], "branch", "event_id")
    check_unique(convert.class_names or [], "class", "classes")
    if convert.objects and convert.variations:
        refuse("objects do not vary", "variations", mend="vary weights (convert.weights)")
    features = convert.feature_configs()
    if features is None:
        return
    if not features and not convert.objects:
        refuse("the list is empty", "features", mend="name at least one input, or leave it out")
    columns = [f.name for f in features]
    columns += [f"{f.name}_missing" for f in features if f.indicator]
    check_unique(columns, "feature", "features")
    used = set().union(*(_branches(f.expression or f.name) for f in features))
    if convert.label is not None and (label := _branches(convert.label)) and label <= used:
        refuse(
            f"the label {convert.label!r} can be computed from the features alone",
            "features",
            mend=f"take {_list(sorted(label))} out of the features",
        )
    direct = {f.name for f in features if f.expression in (None, f.name)}
    _check_not_inputs(direct, convert)


def _check_not_inputs(features: set[str], convert: ConvertConfig) -> None:
    weights = [convert.weight, convert.data_weight, *convert.weights.values()]
    for what, names in (
        ("weight", {_scaled_name(w) for w in weights if w is not None}),
        ("event id", set(convert.event_id or [])),
        ("spectator", set(convert.spectators)),
    ):
        both = features & names
        if both:
            refuse(
                f"{_list(sorted(both))} cannot be both a feature and {what}",
                "features",
                mend="take it out of one of the two",
            )


def check_roles(samples: list[SampleConfig]) -> None:
    """Somebody is labelled MC, data has no class, a template has one, a name has one role."""
    if not samples:
        return
    for index, sample in enumerate(samples):
        if sample.role == "data" and sample.class_ is not None:
            refuse(
                f"sample '{sample.name}' has role data, and data has no class",
                *("samples", index, "class"),
                mend="leave out class, or set role to mc or template",
            )
        if sample.role == "template" and sample.class_ is None:
            refuse(
                f"sample '{sample.name}' has role template and no class",
                *("samples", index),
                mend="give the class that it stands for",
            )
    if all(sample.role != "mc" for sample in samples):
        refuse(
            f"no sample has role mc: {_list(s.name for s in samples)}",
            "samples",
            mend="list the simulation that the network learns from",
        )
    roles: dict[str, str] = {}
    for index, sample in enumerate(samples):
        if roles.setdefault(sample.name, sample.role) != sample.role:
            refuse(
                f"sample '{sample.name}' is {roles[sample.name]} above and {sample.role} here",
                *("samples", index, "role"),
                mend="one name is one process; give this one another name",
            )


def names_images(convert: ConvertConfig) -> bool:
    """Whether images are converted, of which the segment of a vertex or the file has the class."""
    return convert.images is not None or "pictures" in convert.model_fields_set


def check_classes(config: ConversionConfig) -> None:
    """Every MC event gets a class, and every class is one of those listed."""
    convert, samples = config.convert, config.samples
    names = convert.class_names
    for index, sample in enumerate(samples):
        if sample.class_ is None or names is None or sample.class_ in names:
            continue
        refuse(
            f"class '{sample.class_}' of sample '{sample.name}' is not in convert.classes "
            f"({_list(names)})",
            *("samples", index, "class"),
            mend=proposal(sample.class_, names, "add it there"),
        )
    bare = [s.name for s in samples if s.role == "mc" and s.class_ is None]
    if bare and convert.label is None and not names_images(convert):
        refuse(
            f"there is no label, and no class for sample {_list(bare)}",
            *("convert", "label"),
            mend="set convert.label, or class in each of these samples",
        )
    if bare and names is None and any(s.class_ is not None for s in samples):
        refuse(
            "some classes come from the label and some from the samples",
            *("convert", "classes"),
            mend="list the class names in the order of the label's values",
        )
    features = {f.name for f in convert.feature_configs() or [] if f.expression is None}
    for index, sample in enumerate(samples):
        if sample.weight is not None and _scaled_name(sample.weight) in features:
            refuse(
                f"the weight {sample.weight!r} is also a feature",
                *("samples", index, "weight"),
                mend="take it out of convert.features",
            )


STYLES = ("ATLAS", "CMS", "LHCb", "LHCb2", "ALICE", "DUNE", "ROOT")
FIGURE_SIZES = ("half-slide", "slide", "column", "page")


def t_text(t: float | Iterable[float]) -> str:
    """The t of a shift as text, ``3``; of shifts joined with + those of each, ``3+8``."""
    return "+".join(f"{one:g}" for one in ([t] if isinstance(t, int | float) else t))


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _number_kind(value: Any) -> str:
    return "list" if isinstance(value, list | tuple) else "float"


def long_form(model: str) -> Callable[[Any], str]:
    """Discriminator of a text and the model of that name, which says the same with options."""
    return lambda value: model if isinstance(value, dict | BaseModel) else "str"


def names_matter(info: ValidationInfo) -> bool:
    """Whether unknown names of methods and shifts are refused."""
    return bool((info.context or {}).get("known_names", True))


def check_maps(alignments: list[str]) -> list[str]:
    """Alignments, each known and given once; several may be joined with ``+``."""
    check_unique(alignments, "alignment")
    for name in alignments:
        for one in name.split("+"):
            check_registered(one, ALIGNMENTS)
    return alignments


def check_shifts(name: str, info: ValidationInfo) -> None:
    """Each of the shifts that ``+`` joins is known."""
    for part in name.split("+") if names_matter(info) else ():
        check_registered(part.strip(), SHIFTS)


# strict: pydantic would read true as 1 and '5' as 5
Integer = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]
Width = Annotated[Integer, Field(ge=1)]
Rate = Annotated[Number, Field(gt=0)]
Rates = Annotated[
    Annotated[Rate, Tag("float")] | Annotated[list[Rate], Field(min_length=1), Tag("list")],
    Discriminator(_number_kind),
]
Quantile = Annotated[Number, Field(gt=0, le=1)]
Quantiles = Annotated[
    Annotated[Quantile, Tag("float")] | Annotated[list[Quantile], Field(min_length=1), Tag("list")],
    Discriminator(_number_kind),
]
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[list[Text], BeforeValidator(_as_list, json_schema_input_type=list[Text] | Text)]


class Section(BaseModel):
    """A part of a configuration: frozen, and without keys that nobody knows."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        allow_inf_nan=False,
        defer_build=True,  # a validator is made when it is needed
    )
