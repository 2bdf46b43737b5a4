"""Styles are scoped, readable on half a slide, and free of warnings."""

from __future__ import annotations

import itertools
import logging

import matplotlib as mpl
import matplotlib.colors
import numpy as np
import pytest
from matplotlib.font_manager import FontProperties

from hepdann.config.section import STYLES
from hepdann.errors import ConfigError
from hepdann.plotting import style
from hepdann.plotting.axes.styles import (
    COLOURS,
    PAGE,
    banded,
    class_colours,
    method_look,
    method_title,
    readable,
    sentence,
    wrapped,
)
from hepdann.registry import METHODS


@pytest.mark.parametrize("name", STYLES)
def test_a_style_ends_with_its_block(name):
    before = dict(mpl.rcParams)
    with style(name):
        assert mpl.rcParams["figure.figsize"] == list(PAGE)
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("name", STYLES)
def test_every_text_has_fourteen_points_or_more(name):
    keys = ("font.size", "axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize")
    with style(name):
        assert (
            min(FontProperties(size=mpl.rcParams[key]).get_size_in_points() for key in keys) >= 14
        )


@pytest.mark.parametrize("name", STYLES)
def test_pdf_fonts_are_truetype_and_tex_is_not_needed(name):
    with style(name):
        assert mpl.rcParams["pdf.fonttype"] == 42
        assert not mpl.rcParams["text.usetex"]


def test_a_style_does_not_inherit_the_users_own_settings():
    with mpl.rc_context({"axes.grid": True, "lines.linewidth": 9}), style("ROOT"):
        assert not mpl.rcParams["axes.grid"]
        assert mpl.rcParams["lines.linewidth"] == 2


def test_loggers_have_their_levels_back():
    logger = logging.getLogger("fontTools")
    level = logger.level
    with pytest.raises(ZeroDivisionError), style("CMS"):
        1 / 0  # noqa: B018
    assert logger.level == level


def test_an_unknown_style_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown style 'lhcb'.*LHCb"), style("lhcb"):
        pass


def test_methods_differ_in_more_than_colour():
    names = ["source-only", "quantile", "dann", "oracle", "dann-alternating", "mine", "yours"]
    looks = method_look(names)
    assert len({colour for colour, _ in looks.values()}) == len(names)
    assert len({str(dashes) for _, dashes in list(looks.values())[:4]}) == 4
    assert method_look(["dann"])["dann"] == looks["dann"]


def test_a_look_does_not_depend_on_the_other_methods():
    names = [*METHODS, "quantile", "moments", "affine+quantile", "guard", "oracle", "mine"]
    together = method_look(names)
    assert all(method_look([name])[name] == together[name] for name in names)
    assert len({colour for colour, _ in together.values()}) == len(names)


def test_lines_stand_out_from_white_and_those_of_runs_from_methods():
    runs = [f"sine-t{t}-1" for t in range(10)]
    looks = method_look([*METHODS, "affine+quantile", "gaussian-ot", "best threshold", *runs])
    brightness = {
        name: np.dot(matplotlib.colors.to_rgb(colour), (0.2126, 0.7152, 0.0722))
        for name, (colour, _) in looks.items()
    }
    assert max(brightness.values()) < 0.7
    assert max(brightness[name] for name in runs) < 0.65
    assert len({colour for colour, _ in looks.values()}) == len(looks)


def test_bands_are_shown_of_two_methods():
    assert banded(["a", "b"]) == ("a", "b")
    assert banded(["source-only", "quantile", "dann", "oracle"]) == ("source-only", "dann")
    assert banded(["source-only", "quantile", "mmd"]) == ("source-only", "mmd")
    assert banded(["one", "two", "three"]) == ("one", "two")


def test_long_titles_are_wrapped_between_words_and_formulas():
    assert wrapped("lepton $p_T$ relative to the axis") == "lepton $p_T$ relative\nto the axis"
    assert wrapped("$a b c d e f g h i j k l m n o p$") == "$a b c d e f g h i j k l m n o p$"


def test_combined_methods_are_titled_part_by_part():
    assert method_title("affine+quantile") == "affine + quantile map"
    assert method_title("quantile+dann") == "quantile map + DANN"
    assert method_title("mine") == "mine"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$p_T$", "$p_T$"),
        ("$nosuch{$", r"\$nosuch{\$"),
        ("5 $", "5 $"),
        ("a_b", "a_b"),
        ("_x", " _x"),
        ("log(x) + " * 20, ("log(x) + " * 20)[:47] + "…"),  # leaves room for the figure
    ],
)
def test_what_is_not_mathematics_is_drawn_as_it_is(text, expected):
    assert readable(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("signal score", "Signal score"), ("uds score", "uds score"), ("pT score", "pT score")],
)
def test_a_short_name_keeps_its_case(text, expected):
    assert sentence(text) == expected


def test_neighbouring_colours_differ_in_lightness_or_hue():
    """In a stack, neighbours touch: none may look like the next."""
    rgb = [matplotlib.colors.to_rgb(colour) for colour in COLOURS]
    for one, two in itertools.pairwise(rgb):
        assert max(abs(a - b) for a, b in zip(one, two, strict=True)) > 0.15


def test_thirty_classes_have_colours_of_their_own():
    colours = class_colours([f"segment {k}" for k in range(30)])
    assert tuple(colours.values())[:10] == COLOURS
    rgb = [matplotlib.colors.to_rgb(colour) for colour in colours.values()]
    for one, two in itertools.combinations(rgb, 2):
        assert max(abs(a - b) for a, b in zip(one, two, strict=True)) > 0.05
