"""Figures look as their commands say, and looks without figures are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hepdann.config import PlotConfig
from hepdann.errors import ConfigError
from hepdann_cli.options import look_of_figures


@pytest.mark.parametrize(
    ("line", "option"),
    [
        ("compare one two", "-o"),
        ("diagnose tensors.h5", "--plots"),
        ("calibrate tensors.h5", "-o"),
    ],
)
@pytest.mark.parametrize("look", ["--style", "--experiment", "--text"])
def test_looks_of_no_figure_are_refused(typed, line, option, look):
    done = typed(*line.split(), look, "CMS")
    assert (done.code, done.stdout) == (2, "")
    assert f"{look} is of figures, which are drawn with {option}" in done.stderr


def test_what_is_not_said_of_a_look_is_the_default():
    look = look_of_figures(Path("figures"), "-o", style="ATLAS", experiment=None, text="Internal")
    assert look == PlotConfig(style="ATLAS", text="Internal")
    assert look_of_figures(None, "-o", style=None, text=None) == PlotConfig()
    with pytest.raises(ConfigError, match="unknown style 'none'"):
        look_of_figures(Path("figures"), "-o", style="none")
