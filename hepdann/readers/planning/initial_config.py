"""A commented configuration for given files, with the range of every branch."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from ..._version import __version__
from ...config import Config, ImagesConfig, PlotConfig, TrainConfig, override
from ...config.document import scalar
from ...errors import ConfigError
from ..pipeline.blocks import read_blocks
from ..prescan import FileScan
from .columns import event_id_branches, looks_like, present_everywhere
from .images import has_images
from .input_samples import Input, gather
from .labels import find_label
from .plan import Plan, make_plan

_SENTINEL_SHARE = 1e-3
_USUAL = {float(f"{sign}{'9' * n}") for sign in ("", "-") for n in range(2, 9)}
_COLUMN, _WIDTH = 42, 110  # where comments begin, and end
_EXAMPLES = {
    "shift": "{name: gaussian, t: 8}",
    "experiment": "CMS",
    "text": "Preliminary",
    "lumi": "59.8",
    "com": "13",
}
# Names that outputs of classifiers have; these were trained with labels, and so hold them.
_OUTPUT = re.compile(r"^(nn|dnn|bdt|mva)|(nn|dnn|bdt|mva|score|discriminant)$", re.IGNORECASE)


_USUAL |= {-(10.0**n) for n in range(3, 10)}


@dataclass(frozen=True)
class Survey:
    """The values of one branch.

    Attributes:
        low: smallest finite value, sentinel left out; NaN if there is none.
        high: largest finite value, sentinel left out.
        integer: whether all of them are whole numbers.
        sentinel: a value that seems to mark missing entries, ``None`` if none does.
        share: fraction of the events with exactly that value.
        non_finite: fraction of the events that are NaN or infinite.
    """

    low: float
    high: float
    integer: bool
    sentinel: float | None = None
    share: float = 0.0
    non_finite: float = 0.0

    @property
    def constant(self) -> bool:
        """Whether there is but one value."""
        return self.low == self.high

    def __str__(self) -> str:
        parts = []
        if np.isnan(self.low):
            parts.append("no finite value")
        elif self.constant:
            parts.append(f"always {self.low:g}")
        else:
            kind = "integers " if self.integer else ""
            parts.append(f"{kind}{self.low:.4g} to {self.high:.4g}")
        if self.sentinel is not None:
            parts.append(f"exactly {self.sentinel:g} in {_percent(self.share)} of the events")
        if self.non_finite:
            parts.append(f"not finite in {_percent(self.non_finite)} of the events")
        return "; ".join(parts)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"


def survey(
    files: Iterable[FileScan], branches: Sequence[str], *, rows: int = 200_000
) -> dict[str, Survey]:
    """Summarise the first events of each file.

    Args:
        files: of the pre-scan; each has all the branches.
        branches: scalar branches.
        rows: events to read in all, shared evenly by the files.

    Raises:
        ReadError: a branch cannot be read.
    """
    files = list(files)
    share = max(1, rows // max(1, len(files)))
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in branches}
    for file in files if branches else []:
        left = share
        for block in read_blocks(file, branches, min(share, 50_000)):
            for name in branches:
                parts[name].append(block.columns[name][:left])
            left -= len(block)
            if left <= 0:
                break
    return {
        name: _summary(np.concatenate(values) if values else np.empty(0))
        for name, values in parts.items()
    }


def _summary(values: NDArray[Any]) -> Survey:
    values = values.astype(np.float64)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Survey(np.nan, np.nan, False, non_finite=1.0 if len(values) else 0.0)
    sentinel, share = _sentinel(finite)
    kept = finite if sentinel is None else finite[finite != sentinel]
    return Survey(
        float(kept.min()),
        float(kept.max()),
        bool(np.all(kept == np.rint(kept))),
        sentinel,
        share * len(finite) / len(values),
        1.0 - len(finite) / len(values),
    )


def _sentinel(values: NDArray[np.float64]) -> tuple[float | None, float]:
    """An end of the range that repeats and stands apart: -999, or far from everything else."""
    low, high = float(values.min()), float(values.max())
    for end, sign in ((low, 1.0), (high, -1.0)):
        rest = values[values != end]
        share = 1.0 - len(rest) / len(values)
        if share < _SENTINEL_SHARE or not len(rest):
            continue
        gap = float((sign * (rest - end)).min())
        spread = float(rest.max() - rest.min())
        if (end in _USUAL and gap > 1.0) or gap > max(2.0 * spread, 50.0):
            return end, share
    return None, 0.0


def init_config(
    mc: str | Sequence[str], data: str | Sequence[str] = (), *, tree: str | None = None
) -> str:
    """Write a YAML that converts these files as no configuration at all would.

    One thing differs: a value that seems to mark missing entries (-999) is declared as such.

    Args:
        mc: simulation: paths, globs, ``path:tree``, file lists.
        data: detector events, if any.
        tree: tree to read; default the only one, or the largest.

    Returns:
        The text. Comments tell the range of every input, what was left out and why, and candidates
        for weight and spectators. Where the label is not clear the key stays a comment with the
        candidates, and the configuration is not valid before one is chosen.

    Raises:
        ReadError: a file cannot be read, or has no such tree.
        ConfigError: the files have no input in common.
    """
    import jinja2

    mc = [mc] if isinstance(mc, str) else list(mc)
    data = [data] if isinstance(data, str) else list(data)
    config = override(Config(), {"convert.tree": tree})
    inputs = gather(mc, data, config)
    if has_images(inputs[0].files[0], ImagesConfig()):
        raise ConfigError(
            "holds images, which need no configuration",
            where=inputs[0].files[0].path,
            mend="hepdann convert takes it as it is; the shipped minerva.yaml is to be edited",
        )
    label, doubt = _label(inputs, config)
    plan = make_plan(inputs, config, label)
    features, others = _values(inputs, plan)
    ids = {event_id_branches(present_everywhere(entry.files)) for entry in inputs}

    def candidates(kind: str) -> list[tuple[str, str]]:
        """Branches that may be a label, or a weight."""
        names = [name for name in others if looks_like(name) == kind and name != plan.label]
        return [(scalar(name), str(others[name])) for name in names]

    environment = jinja2.Environment(  # noqa: S701 (a text, no page)
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "scalar": scalar, "listed": _listed, "number": _number,
        "one_line": lambda text: " ".join(text.split()),
    }  # fmt: skip
    text = Path(__file__).with_name("initial_config.yaml.j2").read_text(encoding="utf-8")
    return environment.from_string(text).render(
        version=__version__,
        mc=mc,
        data=data,
        files=[file for entry in inputs for file in entry.files],
        others=_not_read,
        line=_line,
        candidates=candidates,
        label=plan.label,
        doubt=textwrap.indent(textwrap.fill(doubt, 90), "  # "),
        others_of=others,
        features=features,
        left_out=plan.left_out,
        outputs=[name for name in features if _OUTPUT.search(name)],
        constant=[name for name, values in features.items() if values.constant],
        event_id=ids.pop() if len(ids) == 1 else (),
        train=_defaults(TrainConfig),
        plots=_defaults(PlotConfig),
    )


def _label(inputs: Sequence[Input], config: Config) -> tuple[str | None, str]:
    try:
        return find_label(inputs, config.convert, read_blocks), ""
    except ConfigError as error:
        return None, f"{error.message}; {error.mend}".replace("--label", "label")


def _values(inputs: Sequence[Input], plan: Plan) -> tuple[dict[str, Survey], dict[str, Survey]]:
    """Of each input; and in MC of the label and of what looks like a label or a weight."""
    files = [file for entry in inputs for file in entry.files]
    simulated = [file for entry in inputs if entry.domain == "mc" for file in entry.files]
    others = [
        name
        for name, branch in present_everywhere(simulated).items()
        if branch.scalar and (name == plan.label or looks_like(name) in ("a weight", "a label"))
    ]
    features = [feature.name for feature in plan.features]
    return survey(files, features), survey(simulated, others)


def _line(text: str, comment: object = "") -> str:
    """YAML and its comment, in the comment column and on lines of its own where it is long."""
    room = max(_WIDTH - max(len(text), _COLUMN) - 4, 30)
    first, *more = textwrap.wrap(str(comment), room) or [""]  # this mends line breaks in names
    lines = [f"{text:<{_COLUMN}}  # {first}" if first else text]
    return "\n".join([*lines, *(f"{'':<{_COLUMN}}  # {part}" for part in more)])


def _listed(values: Iterable[str]) -> str:
    return f"[{', '.join(scalar(value) for value in values)}]"


def _number(value: float) -> str:
    return scalar(int(value) if value.is_integer() else value)  # as all sentinels in practice


def _not_read(file: FileScan) -> str:
    others = [f"{name} ({n})" for name, n in file.trees.items() if name != file.tree]
    return f"; not read: {', '.join(others)}" if others else ""


def _defaults(model: type[BaseModel]) -> str:
    """Every key of a section with its default, commented out."""
    lines = []
    for name, field in model.model_fields.items():
        default: Any = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            given = default.model_dump(mode="json").items()
            inner = (f"{k}: {'null' if v is None else str(v).lower()}" for k, v in given)
            text = f"{{{', '.join(inner)}}}"
        elif isinstance(default, list):
            text = f"[{', '.join(scalar(value) for value in default)}]"
        elif default is None or isinstance(default, bool):
            text = _EXAMPLES.get(name, "null") if default is None else str(default).lower()
        else:
            text = scalar(default)
        lines.append(_line(f"  # {field.alias or name}: {text}", field.description or ""))
    return "\n".join(lines)
