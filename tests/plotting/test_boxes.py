"""Nothing overlaps: the boxes of every text, legend and datum of every kind of figure."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.text import Text

from hepdann import evaluation, plotting
from hepdann.config import PlotConfig
from hepdann.config.plots import DataMCFigure, EfficiencyFigure, RocFigure, ScoresFigure
from hepdann.evaluation import Importance
from hepdann.evaluation.curves import Sweep
from hepdann.plotting.axes.frame import finished_later
from hepdann.plotting.axes.label import label_as
from hepdann.plotting.axes.legend import data_points
from hepdann.plotting.quantities import Quantities
from hepdann.plotting.run import wanted_jobs
from hepdann.registry import FIGURES
from hepdann.stats import FeatureShift

LABEL = {"experiment": "ALEPH", "text": "Preliminary", "lumi": 138.0, "com": 13.6}

# One of each kind, as the run draws it, and the ways in which a configuration may ask for more.
OF_A_RUN = {
    "loss": "loss",
    "roc": "roc_target",
    "scores": "scores_source-only",
    "data_mc": "data_mc_ptlrel",
    "calibration": "calibration_target",
    "correlation": "correlation_difference",
    "confusion": "confusion_target_dann",
    "efficiency": "mistag_multip",
    "latent": None,
    "importance": None,  # both below
    "segments": None,  # of images: beside their own tests
    "misclassified": None,  # of pictures: beside the runs of these
    "nuisance": None,  # of runs with one: beside those of runs
}
CONFIGURED = [
    DataMCFigure(variable="pt2rel", lower="pull", flow="show", tests=["chi2", "ks"], name="pull"),
    DataMCFigure(variable="prob_b", blind=[0.4, 0.6], lower="none", by="class", name="blind"),
    DataMCFigure(
        variable="bqvjet", alignment="quantile", weight="weight * 1.2", log=True, name="before"
    ),
    ScoresFigure(kind="scores", methods="dann", working_points=[0.5, 0.6, 0.7, 0.75, 0.9]),
    RocFigure(kind="roc", domain="mc", curves=["prob_b", "`multip`*2"], working_points=[0.5, 0.8],
              points=[{"name": "published, 1999", "signal": 0.6, "background": 0.02}]),
    RocFigure(kind="roc", domain="target", axes="rates", name="rates", working_points=[0.7]),
    EfficiencyFigure(kind="efficiency", variable="multip", shows="rejection", domain="target"),
    EfficiencyFigure(kind="efficiency", variable="spheri", threshold="flat", name="flat"),
]  # fmt: skip


def texts_of(figure):
    """The texts of a figure that can be seen, each with the axes it belongs to; and legends."""
    legends = list(figure.legends)
    insets = [child for ax in figure.axes for child in ax.child_axes]
    for ax in [*figure.axes, *insets]:
        legends += [ax.get_legend()] if ax.get_legend() else []
        yield from ((ax, text) for text in ax.texts)
        for axis in filter(lambda axis: axis.get_visible(), (ax.xaxis, ax.yaxis)):
            yield ax, axis.label
            yield ax, axis.get_offset_text()
            along = 0 if axis is ax.xaxis else 1
            for tick in axis.get_ticklabels(which="both"):
                box = tick.get_window_extent()
                middle = 0.5 * (box.min[along] + box.max[along])
                if ax.bbox.min[along] - 1 <= middle <= ax.bbox.max[along] + 1:
                    yield ax, tick
    yield from ((legend.axes, legend) for legend in legends)


def assert_nothing_overlaps(figure):
    """No two texts or legends share a place, none leaves the page, no legend hides data."""
    figure.draw_without_rendering()
    page = figure.bbox
    boxes = []
    for ax, artist in texts_of(figure):
        if not artist.get_visible() or (isinstance(artist, Text) and not artist.get_text().strip()):
            continue
        box = artist.get_window_extent()
        name = artist.get_text() if isinstance(artist, Text) else "legend"
        assert box.x0 > page.x0 - 1, name
        assert box.y0 > page.y0 - 1, name
        assert box.x1 < page.x1 + 1, name
        assert box.y1 < page.y1 + 1, name
        # a text's box has room for letters that reach below the line, which numbers do not
        high = box.height / (3 if isinstance(artist, Text) and not artist.get_rotation() else 50)
        boxes.append((name, box.padded(-1.5, -0.5 * high)))
        if name == "legend" and ax is not None:
            points = ax.transAxes.transform(data_points(ax)) if len(data_points(ax)) else []
            assert not any(box.contains(*point) for point in points), "the legend hides data"
    for (one, first), (other, second) in itertools.combinations(boxes, 2):
        assert not first.overlaps(second), f"{one!r} lies on {other!r}"


def labelled(draw, look):
    with plotting.style(look.style, look.size):
        with finished_later():
            ax = draw()
        label_as(ax, look, simulation=True)
        assert_nothing_overlaps(ax.figure)


@pytest.fixture(scope="module")
def run(run_folder):
    return Quantities.open(run_folder)


def test_every_kind_is_looked_at():
    assert set(OF_A_RUN) == set(FIGURES)


@pytest.mark.parametrize("name", [name for name in OF_A_RUN.values() if name])
def test_figures_of_a_run(name, run):
    (job,) = wanted_jobs(run, PlotConfig(), [name])
    labelled(lambda: job.draw(job.numbers()), PlotConfig(style="CMS", **LABEL))


@pytest.mark.parametrize("place", range(len(CONFIGURED)))
def test_figures_of_a_configuration(place, run):
    look = PlotConfig(style=("ATLAS", "ROOT", "LHCb")[place % 3], figures=[CONFIGURED[place]])
    (job,) = wanted_jobs(run, look, None)
    labelled(lambda: job.draw(job.numbers()), look.model_copy(update=LABEL))


@pytest.mark.parametrize("size", ["slide", "column", "page"])
def test_figures_of_every_size(size, run):
    look = PlotConfig(style="CMS", size=size, **LABEL)
    for name in ("roc_target", "data_mc_pt2rel"):
        (job,) = wanted_jobs(run, look, [name])
        labelled(lambda job=job: job.draw(job.numbers()), look)


@pytest.mark.parametrize("style", ["ATLAS", "CMS", "LHCb"])
@pytest.mark.parametrize("rows", [3, 15, 40])
def test_matrices_of_many_features_with_long_titles(rows, style):
    names = [f"$p_{{T}}$ of the leading\njet number {i}" for i in range(rows)]
    values = np.eye(rows)
    look = PlotConfig(style=style, **LABEL)
    labelled(lambda: plotting.correlation(values, names, title="MC"), look)


@pytest.mark.parametrize(("style", "size"), [("ATLAS", "column"), ("CMS", "half-slide")])
def test_the_importance_of_features_with_titles_of_two_lines(style, size):
    losses = [Importance(f"x{i}", 0.1 / (i + 1), 0.004) for i in range(12)]
    titles = {one.name: f"visible mass\n$m_{{{one.name}}}$" for one in losses}
    look = PlotConfig(style=style, size=size, **LABEL)
    labelled(lambda: plotting.importance(losses, losses, titles=titles, title="DANN"), look)


@pytest.mark.parametrize("style", ["ATLAS", "LHCb", "CMS"])
def test_no_label_stands_on_cells_or_on_the_name_of_a_panel(style, run):
    for name in ("confusion_target_dann", "correlation_mc"):
        (job,) = wanted_jobs(run, PlotConfig(), [name])
        with plotting.style(style):
            with finished_later():
                ax = job.draw(job.numbers())
            label_as(ax, PlotConfig(style=style, year=2012, **LABEL))
            ax.figure.draw_without_rendering()
            printed = [t for t in ax.texts if t.get_text() in ("ALEPH", "Preliminary")]
            assert len(printed) == 2
            boxes = [text.get_window_extent() for text in printed]
            assert all(box.y0 + box.y1 > 2 * ax.bbox.y1 for box in boxes)


@pytest.mark.parametrize("style", ["ATLAS", "LHCb", "CMS", "ROOT"])
def test_the_year_is_printed_in_every_style(style):
    for given, expected in (
        ({"year": 2012}, "2012"),
        ({"year": "Run 2", "lumi": 4.4}, "Run 2"),
        ({"year": 2012, "com": 8.0}, "2012"),
    ):
        with plotting.style(style):
            ax = plotting.correlation(np.eye(2), ["a", "b"])
            plotting.experiment_label(ax, "ALEPH", style=style, **given)
            said = " ".join(text.get_text() for text in ax.texts)
            assert expected in said
            assert not any(text.get_text().lstrip("$\\ ").startswith(",") for text in ax.texts)


def several(count):
    names = ["source-only", "quantile", "dann", "hybrid-dann", "guard", "oracle"][:count]
    return dict.fromkeys(names)


def a_sweep(height):
    t = np.array([1.0, 2.0, 3.0, 5.0, 8.0])
    return Sweep(x=t, mean=height - 0.1 / t, std=np.full(5, 0.01))


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plotting.importance(
            [Importance(f"feature_{i}", 0.3 / (i + 1), 0.01) for i in range(9)],
            [Importance(f"feature_{i}", 0.05 * i, 0.01) for i in range(9)],
            title="DANN",
        ),
        lambda: plotting.feature_shifts(
            [FeatureShift(f"feature_{i}", 0.4 / (i + 1), 0.001, 0.3, 0.001, 0.1, 0, 0)
             for i in range(9)]
        ),
        lambda: plotting.latent(
            {
                m: evaluation.latent.Embedding(
                    kind="pca", points=np.random.default_rng(i).normal(size=(300, 2)),
                    domain=np.arange(300) % 2, label=np.arange(300) % 3 % 2, explained=(0.5, 0.2),
                )
                for i, m in enumerate(("source-only", "dann"))
            },
            classes=("udsc", "b"),
        ),
        lambda: plotting.sweep(
            {m: a_sweep(0.9 - 0.02 * i) for i, m in enumerate(several(6))}, "target accuracy", "t",
            level=("majority class", 0.775),
        ),
    ],
    ids=["importance", "shifts", "latent", "scan"],
)  # fmt: skip
def test_figures_from_python(draw):
    with plotting.style("ROOT"):
        assert_nothing_overlaps(draw().figure)
