"""The experiments' styles on one page size, scoped: rcParams are never changed globally."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any
from zlib import crc32

import matplotlib as mpl
from cycler import cycler
from matplotlib.colors import to_hex, to_rgb
from matplotlib.font_manager import font_scalings, fontManager

from ...config.section import FIGURE_SIZES, STYLES
from ...errors import ConfigError
from ...registry import ALIGNMENTS, suggestion

__all__ = [
    "COLOURS", "PAGE", "STYLES", "banded", "class_colours", "method_look", "method_title", "plain",
    "scaled", "sentence", "style", "wrapped",
]  # fmt: skip

# Half a slide. Every style is drawn at this size, with its own proportions.
PAGE = (8.0, 6.0)

# Width and height in inches of PAGE's text, and what all lengths, text too, are multiplied with:
# half a slide and a whole one of 16:9; one column (3.4 in) and two (7 in) of a paper.
_SIZES = {
    "half-slide": (PAGE, 1.0),
    "slide": ((12.0, 6.75), 1.0),
    "column": ((6.0, 4.9), 3.4 / 6.0),
    "page": ((10.5, 5.6), 7.0 / 10.5),
}

# Ten colours that colour-blind readers can tell apart: M. Petroff, arXiv:2107.02270, as CMS uses.
COLOURS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
    "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip

MARKERS = "os^vDP*X"  # of methods

_SHADES = (0.0, -0.5, 0.55, 0.3)  # how much black or white is in the first, second … ten

_LINES = (0.0, -0.5, -0.35, 0.3, -0.7)  # likewise of methods, none too pale for a line

_OTHERS = -0.25  # of lines that are no method of ours: no shade of these, nor too pale for a line

_DASHES: tuple[Any, ...] = ("-", (0, (5, 1)), "-.", (0, (3, 1, 1, 1, 1, 1)))

# A method has one look in every figure, whichever others are in it. The second entry is a place
# in _LINES, the third in _DASHES, or a style of its own for reference and ceiling.
_METHODS: dict[str, tuple[int, int, Any]] = {
    "source-only": (8, 0, "--"), "source-only+prior": (8, 1, 1), "oracle": (4, 0, ":"),
    "dann": (2, 0, 0), "dann-alternating": (6, 0, 1), "dann-joint": (2, 1, 1),
    "hybrid-dann": (6, 1, 0), "hybrid-alternating": (6, 2, 1),
    "cdan": (9, 1, 0), "mmd": (7, 1, 0), "coral": (7, 0, 1),
    "calibrated": (4, 1, 0), "calibrated-known": (4, 2, 1), "parametrised": (2, 3, 1),
    "self-training": (3, 1, 0), "guard": (5, 0, 3),
    "quantile": (0, 0, 2), "moments": (0, 1, 2), "gaussian-ot": (0, 2, 2), "sliced": (5, 1, 2),
    "affine": (1, 1, 2), "affine+quantile": (1, 0, 3),
    "pivot": (5, 2, 0), "pivot-alternating": (4, 3, 1), "dann-pivot": (2, 2, 0),
    "disco": (1, 2, 0), "planing": (3, 0, 0), "threshold per bin": (8, 2, 1),
    "best threshold": (0, 3, 0),
    "cwola": (9, 2, 0), "llp": (3, 2, 0), "llp-unbiased": (7, 2, 1),
}  # fmt: skip

_TITLES = {
    "source-only": "source only",
    "dann": "DANN",
    "dann-alternating": "DANN, alternating",
    "hybrid-dann": "hybrid DANN",
    "quantile": "quantile map",
    "moments": "moment map",
    "gaussian-ot": "Gaussian transport",
    "sliced": "sliced transport",
    "affine": "affine map",
    "calibrated": "calibrated MC",
    "calibrated-known": "calibrated MC, family known",
    "oracle": "oracle",
    "dann-pivot": "DANN, pivot",
    "disco": "DisCo",
    "cwola": "CWoLa",
    "llp": "LLP",
    "llp-unbiased": "LLP, unbiased",
}

_FONT_SIZES = {  # key: the range, in points, that reads well on the page
    "font.size": (14.0, 20.0),
    "axes.labelsize": (16.0, 22.0),
    "axes.titlesize": (14.0, 20.0),
    "xtick.labelsize": (14.0, 18.0),
    "ytick.labelsize": (14.0, 18.0),
    "legend.fontsize": (14.0, 15.0),
    "legend.title_fontsize": (14.0, 15.0),
}
_LENGTHS = (
    "axes.linewidth", "axes.labelpad", "patch.linewidth",
    "xtick.major.size", "xtick.minor.size", "xtick.major.pad", "xtick.minor.pad",
    "ytick.major.size", "ytick.minor.size", "ytick.major.pad", "ytick.minor.pad",
)  # fmt: skip

_HOUSE: dict[str, Any] = {
    "figure.figsize": PAGE,
    "figure.dpi": 150,
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,
    "figure.facecolor": "white",
    "savefig.bbox": None,  # "tight" would give every figure a size of its own
    "savefig.dpi": 150,
    "savefig.transparent": False,
    "axes.autolimit_mode": "data",
    "axes.prop_cycle": cycler("color", COLOURS),
    "errorbar.capsize": 0,
    "hatch.linewidth": 0.8,
    "legend.borderaxespad": 0.6,
    "legend.borderpad": 0.2,
    "legend.columnspacing": 1.2,
    "legend.edgecolor": "none",
    "legend.facecolor": "white",
    "legend.fancybox": False,
    "legend.framealpha": 0.85,
    "legend.frameon": True,  # white, so that lines of reference may pass behind it
    "legend.handlelength": 1.6,
    "legend.handletextpad": 0.6,
    "legend.labelspacing": 0.25,
    "lines.linewidth": 2.0,
    "lines.markersize": 5.5,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    "text.usetex": False,
}
_HOUSE_LENGTHS = ("hatch.linewidth", "lines.linewidth", "lines.markersize")


def _points(value: float | str, base: float) -> float:
    return base * font_scalings[value] if isinstance(value, str) else float(value)


def _parameters(name: str, size: str) -> dict[str, Any]:
    """The rcParams of a style, its lengths brought from its own page to that of the size."""
    import mplhep

    chosen: dict[str, Any] = getattr(mplhep.style, "LHCb2" if name == "LHCb" else name)
    values: Any = dict(mpl.rcParamsDefault) | chosen
    scale = PAGE[0] / values["figure.figsize"][0]
    result = dict(chosen)
    for key, (low, high) in _FONT_SIZES.items():
        points = scale * _points(values[key] or "medium", values["font.size"])
        result[key] = min(max(points, low), high)
    result |= {key: scale * values[key] for key in _LENGTHS}
    result |= _HOUSE
    known = {font.name.lower() for font in fontManager.ttflist}
    for key in ("font.serif", "font.sans-serif"):  # each that is not there is searched each time
        installed = [name for name in result.get(key, ()) if name.lower() in known]
        result |= {key: installed} if installed else {}
    page, factor = _SIZES[size]
    for key in (*_FONT_SIZES, *_LENGTHS, *_HOUSE_LENGTHS):
        result[key] *= factor
    result |= {key: _HOUSE[key] / factor for key in ("figure.dpi", "savefig.dpi")}
    result["figure.figsize"] = tuple(factor * length for length in page)
    return result


@contextmanager
def style(name: str = "ROOT", size: str = "half-slide") -> Iterator[None]:
    """Draw and save in the style of an experiment, and leave matplotlib as it was.

    The size is "half-slide" (8 inches wide), "slide" (12), or of a paper one "column" (3.4, text of
    8 points) or the "page" (7, text of 9 points).

    Raises:
        ConfigError: unknown style or size.
    """
    for what, given, known in (("style", name, STYLES), ("size", size, FIGURE_SIZES)):
        if given not in known:
            mend = suggestion(given, known, "choose one of")
            raise ConfigError(f"unknown {what} {given!r}", where=f"plots.{what}", mend=mend)
    # rcParamsDefault first: a user's matplotlibrc must not make two people's figures differ.
    settings: Any = {k: v for k, v in mpl.rcParamsDefault.items() if k not in _BACKEND_KEYS}
    settings |= _parameters(name, size)
    with mpl.rc_context(settings), _quiet():
        yield


_BACKEND_KEYS = {"backend", "backend_fallback", "interactive", "toolbar", "timezone", "webagg.port"}


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings about a root sign of another font and the date of a font."""
    loggers = [logging.getLogger(name) for name in ("matplotlib.mathtext", "fontTools")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def scaled(value: float) -> float:
    """A length in points on half a slide, as long as the size in force wants it."""
    return float(value * mpl.rcParams["lines.linewidth"] / _HOUSE["lines.linewidth"])


def method_title(method: str) -> str:
    """Title of a method in a legend; combined methods keep their ``+``, maps one word "map"."""
    titles = [_TITLES.get(part, part) for part in method.split("+")]
    for place, following in enumerate(titles[1:]):
        if following.endswith(" map"):
            titles[place] = titles[place].removesuffix(" map")
    return " + ".join(titles)


def method_look(methods: Sequence[str]) -> dict[str, tuple[str, Any]]:
    """Colour and line style of each method, the same in every figure.

    Those of a registered method, and of a run, follow from its name.
    """
    known = {name: _look(*place) for name, place in _METHODS.items()}
    free = [_shade(colour, _OTHERS) for colour in COLOURS]
    looks: dict[str, tuple[str, Any]] = {}
    for method in methods:
        start = crc32(method.encode())
        turned = [free[(start + i) % len(free)] for i in range(len(free))]
        assigned = {colour for colour, _ in looks.values()}
        colour = next((c for c in turned if c not in assigned), turned[0])
        looks[method] = known.get(method, (colour, _DASHES[start % len(_DASHES)]))
    return looks


def _look(colour: int, shade: int, dashes: Any) -> tuple[str, Any]:
    style = _DASHES[dashes] if isinstance(dashes, int) else dashes
    return _shade(COLOURS[colour], _LINES[shade]), style


def banded(methods: Sequence[str]) -> tuple[str, ...]:
    """Of which methods a figure shows bands: of more than two, the reference and one that adapts.

    Bands of many methods lie over one another and hide the lines.
    """
    if len(methods) <= 2:
        return tuple(methods)
    first = "source-only" if "source-only" in methods else methods[0]
    others = [name for name in methods if name not in (first, "oracle")]
    networks = [name for name in others if not set(name.split("+")) & set(ALIGNMENTS)]
    return first, ("dann" if "dann" in others else (networks or others)[0])


_LONGEST = 48  # letters of a plain text in a figure


@cache
def readable(text: str) -> str:
    """The text as matplotlib can draw it: dollars that are not proper mathematics are dollars.

    A plain text that would leave no room for the figure, as an expression may, is cut.
    """
    if text.startswith("_"):  # which leaves an entry out of a legend
        text = f" {text}"
    if text.count("$") < 2:
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    from matplotlib.mathtext import MathTextParser

    try:
        MathTextParser("path").parse(text)
    except ValueError:
        return text.replace("$", r"\$")
    return text


def wrapped(text: str, width: int = 18) -> str:
    """The text in lines of about ``width`` letters; mathematics stays whole."""
    words = re.findall(r"(?:\$[^$]*\$|\S)+", text)
    lines = [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if len(_LETTERS.sub("", longer)) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)


_LETTERS = re.compile(r"\\[a-zA-Z]+|[$\\{}^_]")  # of mathematics, which take no place


def plain(text: str) -> str:
    """The text without the signs of mathematics, for a page that cannot set it."""
    return _SIGNS.sub("", _COMMANDS.sub("", text)) if text.count("$") > 1 else text


_COMMANDS = re.compile(r"\\(?:mathrm|mathit|text|rm|bar|overline|,)\b ?|\\,")
_SIGNS = re.compile(r"[$\\{}^_]")


def sentence(text: str) -> str:
    """The text with a capital, unless it begins with a short name (``b``, ``uds``, ``pT``)."""
    first = text.split(" ", 1)[0]
    return text[0].upper() + text[1:] if len(first) > 4 and first.islower() else text


def class_colours(names: Sequence[str]) -> dict[str, str]:
    """The colour of each class or process, in order; after ten they begin again, in other shades.

    The second ten are darker, the third lighter; after thirty the colours repeat.
    """
    count = len(COLOURS)
    return {
        name: _shade(COLOURS[index % count], _SHADES[index // count % len(_SHADES)])
        for index, name in enumerate(names)
    }


def _shade(colour: str, share: float) -> str:
    """A colour with some black (negative) or white in it."""
    if not share:
        return colour
    end = 1.0 if share > 0 else 0.0
    red, green, blue = ((1 - abs(share)) * part + abs(share) * end for part in to_rgb(colour))
    return to_hex((red, green, blue))
