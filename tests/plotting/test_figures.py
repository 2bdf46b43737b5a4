"""What a figure shows: its artists, its words, and where its legend stands."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from hepdann import evaluation, plotting, stats
from hepdann.config.section import STYLES
from hepdann.evaluation.curves import Band, LearningCurves
from hepdann.plotting.axes.frame import new_axes
from hepdann.plotting.axes.legend import GUIDE, data_points, settle
from hepdann.plotting.figures.panels import OUTSIDE
from hepdann.plotting.generated import with_ratio

EPOCHS = np.arange(1, 11)


def comparison(seed=0, n=2000, shift=0.0, weight=None, edges=None, **kwargs):
    rng = np.random.default_rng(seed)
    edges = np.linspace(-3, 3, 31) if edges is None else edges
    process = rng.integers(2, size=n)
    mc, data = rng.normal(size=n), rng.normal(shift, 1, size=n)
    return evaluation.data_mc(
        mc, weight, process, ("background", "signal"), data, None, edges, **kwargs
    )


def curves(methods=("source-only", "dann"), n=1500):
    rng = np.random.default_rng(3)
    label = rng.integers(2, size=n)
    return {
        m: stats.roc(rng.normal(size=n) + (1.5 + i / 4) * label, label, points=50)
        for i, m in enumerate(methods)
    }


def learning(grl=1.0):
    flat = Band(0.3 + np.exp(-EPOCHS / 3), np.full(10, 0.02))
    error = Band(np.linspace(0.1, 0.45, 10), np.full(10, 0.01))
    return LearningCurves(EPOCHS, flat, flat, error, np.linspace(0, grl, 10))


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def legend_box(ax):
    return ax.get_legend().get_window_extent().transformed(ax.transAxes.inverted())


def assert_legend_is_off_the_data(ax):
    box, points = legend_box(ax), data_points(ax)
    hidden = (
        (points[:, 0] > box.x0)
        & (points[:, 0] < box.x1)
        & (points[:, 1] > box.y0)
        & (points[:, 1] < box.y1)
    )
    assert not hidden.any()
    assert box.x0 > -0.001
    assert box.x1 < 1.001
    assert box.y1 < 1.001


def draw(*more):
    yield plotting.data_mc(comparison(), "$p_T$", unit="GeV", data_name="Pseudo-data, sine t = 3")
    yield plotting.roc(curves())
    if more:
        yield plotting.scores(comparison(normalise=True))
        yield plotting.roc(curves(), kind="rates")
        yield plotting.loss({"source-only": learning(0.0), "dann": learning()})


@pytest.mark.parametrize("name", STYLES)
def test_every_figure_in_every_style(name, tmp_path):
    """Warnings are errors here: no font is missing, no layout fails; no legend hides data."""
    with plotting.style(name):
        for i, ax in enumerate(draw(*{"ROOT", "LHCb2"} & {name})):
            label = {"text": "Preliminary", "lumi": 4.4, "com": 8.0} if i % 2 else {}
            plotting.experiment_label(ax, "ALEPH", simulation=True, style=name, **label)
            assert_legend_is_off_the_data(ax)
            figure = ax.figure
            width, height = figure.bbox.size
            for panel in figure.axes:
                box = panel.get_tightbbox()
                assert box.x0 > -1
                assert box.y0 > -1
                assert box.x1 < width + 1
                assert box.y1 < height + 1
            (path,) = plotting.save(ax, tmp_path / f"{name}-{i}", ["png"])
            assert path.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("ticks", [5e-5, 0.02, 30.0])
def test_no_label_leaves_the_page(ticks):
    """Labels are aligned over the panels, also where the tick labels are of different widths."""
    curve = learning()
    scaled = Band(curve.train.mean * ticks, curve.train.spread * ticks)
    ax = plotting.loss(
        {"dann": LearningCurves(EPOCHS, scaled, scaled, curve.domain_error, curve.grl)}
    )
    ax.figure.draw_without_rendering()
    labels = [panel.yaxis.label.get_window_extent() for panel in ax.figure.axes]
    assert labels[0].x1 == pytest.approx(labels[1].x1, abs=1)
    assert min(box.x0 for box in labels) > 0
    assert max(box.x1 for box in labels) < ax.figure.bbox.width


def test_stack_and_points():
    numbers = comparison()
    ax = plotting.data_mc(numbers, "mass", unit="GeV", data_name="Data")
    ratio = ax.figure.axes[1]
    assert legend_texts(ax) == ["Data", "signal", "background", "MC stat. error"]
    assert ratio.get_xlabel() == "mass [GeV]"
    assert ax.get_ylabel() == "Events / 0.2 GeV"
    assert ratio.get_ylabel() == "Data / MC"
    (points,) = [line for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_array_equal(points.get_ydata(), numbers.data.sumw[numbers.data.sumw > 0])
    top, bottom, band = ax.patches
    np.testing.assert_allclose(top.get_data().values, numbers.mc.sumw)
    np.testing.assert_allclose(bottom.get_data().values, numbers.stack[0].sumw)
    np.testing.assert_allclose(band.get_data().values, numbers.mc.sumw + numbers.mc.error)
    assert band.get_hatch()


def test_points_outside_the_ratio_become_arrows():
    """Of data moved by two widths, most points are beyond any ratio panel."""
    numbers = comparison(shift=2.0)
    ratio = plotting.data_mc(numbers, "x").figure.axes[1]
    low, high = ratio.get_ylim()
    value = np.where(np.isnan(numbers.ratio), np.inf, numbers.ratio)
    seen = numbers.data.sumw > 0
    arrows = {a.get_marker(): a.get_xdata() for a in ratio.lines if a.get_gid() == OUTSIDE}
    assert len(arrows["^"]) == np.sum(seen & (value > high))
    assert len(arrows.get("v", ())) == np.sum(seen & (value < low))


def test_a_ratio_of_a_generator_beyond_the_panel_is_an_arrow():
    events = np.full(20, 10.0)
    drawn = np.where(np.arange(20) == 7, 100.0, 10.0)
    ratio = with_ratio(np.arange(21.0), (events, drawn), "x", "y").figure.axes[1]
    (arrow,) = [line for line in ratio.lines if line.get_gid() == OUTSIDE]
    assert (list(arrow.get_xdata()), arrow.get_marker()) == ([7.5], "^")


def test_data_without_mc_is_an_arrow():
    edges = np.array([0.0, 1.0, 2.0])
    numbers = evaluation.data_mc(
        [0.5] * 50, None, [0] * 50, ("one",), [0.5] * 50 + [1.5], None, edges
    )
    ratio = plotting.data_mc(numbers, "x").figure.axes[1]
    (arrow,) = [line for line in ratio.lines if line.get_gid() == OUTSIDE]
    assert list(arrow.get_xdata()) == [1.5]
    assert arrow.get_marker() == "^"


def test_notes_say_what_was_done_to_the_numbers():
    values = np.append(np.linspace(-2, 2, 99), np.nan)
    numbers = evaluation.data_mc(
        values, np.full(100, 2.0), np.zeros(100, int), ("one",), values, None,
        np.linspace(-3, 3, 7), normalise=True,
    )  # fmt: skip
    ax = plotting.data_mc(numbers, "x", title="DANN", folded=True)
    assert ax.get_legend().get_title().get_text().split("\n") == [
        "DANN", "MC scaled to data", "end bins: incl. under-/overflow", "missing: MC 1%, data 1%"
    ]  # fmt: skip
    assert not plotting.data_mc(comparison(), "x").get_legend().get_title().get_text()


@pytest.mark.parametrize("edges", [np.arange(-0.5, 8), np.array([1.5, 2.5])])
def test_integers_have_ticks_on_integers(edges):
    ax = plotting.data_mc(comparison(edges=edges), "multiplicity")
    ratio = ax.figure.axes[1]
    assert ax.get_ylabel() == "Events"
    inside = [t for t in ratio.get_xticks() if edges[0] < t < edges[-1]]
    assert inside
    assert all(t == round(t) for t in inside)


def test_a_spike_makes_the_axis_logarithmic():
    edges = np.linspace(0, 1, 21)
    values = np.append(np.zeros(100_000), np.linspace(0, 1, 400))
    process = np.zeros(len(values), int)
    spiked = evaluation.data_mc(values, None, process, ("one",), values, None, edges)
    assert plotting.data_mc(spiked, "x").get_yscale() == "log"
    assert plotting.data_mc(spiked, "x", log=False).get_yscale() == "linear"
    assert plotting.data_mc(comparison(), "x").get_yscale() == "linear"


def test_long_numbers_put_their_power_of_ten_into_the_label():
    ax = plotting.data_mc(comparison(weight=np.full(2000, 5e4)), "x")
    assert r"$10^{6}$" in ax.get_ylabel()
    ax.figure.draw_without_rendering()
    assert max(len(t.get_text()) for t in ax.get_yticklabels()) <= 5


def test_negative_mc_is_drawn_below_zero():
    weight = np.where(np.arange(2000) % 2, -1.0, 1.0)
    ax = plotting.data_mc(comparison(weight=weight), "x")
    assert ax.get_ylim()[0] < 0


def test_an_empty_target_is_still_a_figure():
    nothing = np.array([])
    edges = np.linspace(0, 1, 5)
    numbers = evaluation.data_mc([0.5], None, [0], ("one",), nothing, None, edges)
    ax = plotting.data_mc(numbers, "x")
    assert "Data" in legend_texts(ax)


def test_scores_overlay_the_classes():
    numbers = comparison(normalise=True)
    ax = plotting.scores(numbers, "Signal score", data_name="Pseudo-data, sine t = 3")
    assert legend_texts(ax) == [
        "Pseudo-data, sine t = 3", "MC signal", "MC background", "MC, both overlaid", "MC total"
    ]  # fmt: skip
    filled = [p for p in ax.patches if p.get_fill() and not p.get_hatch()]
    heights = sorted(p.get_data().values.sum() for p in filled if hasattr(p, "get_data"))
    assert heights == pytest.approx(sorted(part.sumw.sum() for part in numbers.stack))


def test_rejection_is_logarithmic_and_the_area_is_in_the_legend():
    found = curves()
    ax = plotting.roc(found, signal="b", background="udsc", title="MC")
    assert ax.get_yscale() == "log"
    assert ax.get_ylabel().startswith("udsc rejection")
    assert ax.figure.axes[1].get_xlabel().startswith("b efficiency")
    for text, roc in zip(legend_texts(ax), found.values(), strict=True):
        value, error = text.split(": ")[1].split(r" $\pm$ ")
        assert float(value) == pytest.approx(roc.auc.value, abs=1e-3)
        assert float(error) == pytest.approx(roc.auc.error, rel=0.1)
    one = found["dann"]
    line = next(
        v
        for v in ax.lines
        if len(v.get_xdata()) == np.sum(one.background_efficiency > 0)
        and np.allclose(v.get_ydata(), 1 / one.background_efficiency[one.background_efficiency > 0])
    )
    assert line.get_color() == "#bd1f01"
    assert len(ax.collections) == 2  # a band each


def test_an_axis_of_rejection_ends_where_the_curves_do():
    """Six methods in the legend do not make it three decades longer."""
    names = ("source-only", "quantile", "affine+quantile", "dann", "guard", "oracle")
    found = curves(names, n=4000)
    with plotting.style("ROOT"):
        ax = plotting.roc(found, title="Pseudo-data, sine t = 3")
    measured = [roc.background_efficiency > 0 for roc in found.values()]
    pairs = list(zip(found.values(), measured, strict=True))
    rejection = max(1 / roc.background_efficiency[rows].min() for roc, rows in pairs)
    efficiency = np.concatenate([roc.signal_efficiency[rows] for roc, rows in pairs])
    assert rejection < ax.get_ylim()[1] <= 15.01 * rejection
    assert ax.get_xlim() == (efficiency[efficiency >= 0.02].min(), 1.0)
    assert_legend_is_off_the_data(ax)
    lines = [line for line in ax.lines if line.get_gid() != GUIDE]
    assert len(lines) == 6
    assert len(ax.collections) == len(ax.figure.axes[1].collections) == 2, "bands of two"


@pytest.mark.parametrize(
    ("edges", "unit", "label"),
    [
        (np.linspace(0, 0.916, 41), "", "Events / 0.0229"),
        (np.linspace(0, 200, 26), "GeV", "Events / 8 GeV"),
        (np.array([0.0, 1.0, 3.0]), "GeV", "Events / bin"),
        (np.arange(-0.5, 8), "", "Events"),
    ],
)
def test_the_axis_of_events_names_the_width_of_a_bin(edges, unit, label):
    ax = plotting.data_mc(comparison(edges=edges), "x", unit=unit)
    assert ax.get_ylabel() == label


def test_the_key_of_the_feature_shifts_lies_on_no_bar():
    one = stats.FeatureShift("x", 0.1, 0.0, 0.2, 0.0, 0.0, 0.0, 0.0)
    same = stats.FeatureShift("y", 0.1, 0.9, 0.2, 0.9, 0.0, 0.0, 0.0)
    ax = plotting.feature_shifts([one, same], titles={"x": "$p_T$"})
    legend = ax.get_legend()
    assert [t.get_text() for t in legend.get_texts()] == ["differs (1 %, corrected)", "compatible"]
    ax.figure.draw_without_rendering()
    box = legend.get_window_extent()
    assert not any(box.overlaps(bar.get_window_extent()) for bar in ax.patches)
    assert not any(box.overlaps(text.get_window_extent()) for text in ax.texts)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["$p_T$", "y"]


def test_rates_end_at_one_and_the_reference_has_ratio_one():
    ax = plotting.roc(curves(), kind="rates")
    assert ax.get_xlim() == ax.get_ylim() == (0, 1)
    ratio = ax.figure.axes[1]
    assert any(
        np.all(line.get_ydata() == 1) and line.get_gid() != GUIDE and line.get_linestyle() == "--"
        for line in ratio.lines
    )


@pytest.mark.parametrize("kind", ["rejection", "rates"])
def test_equal_scores_have_ratio_one_everywhere(kind):
    """Also where the curve rises in steps: with few events, or many equal scores."""
    rng = np.random.default_rng(1)
    label = rng.integers(2, size=400)
    score = np.round(rng.normal(size=400) + label, 1)
    same = {name: stats.roc(score, label) for name in ("source-only", "dann")}
    lines = plotting.roc(same, kind=kind).figure.axes[1].lines
    drawn = [line.get_ydata() for line in lines if line.get_gid() != GUIDE]
    assert len(drawn) == 2
    assert all(np.array_equal(y, np.ones_like(y)) for y in drawn)


def test_without_the_reference_there_is_no_ratio_panel():
    assert len(plotting.roc(curves(("dann",))).figure.axes) == 1


def test_loss_shows_train_validation_and_the_domain_error():
    ax = plotting.loss({"source-only": learning(0.0), "dann": learning(2.0)})
    assert legend_texts(ax) == ["source only", "DANN", "train", "validation"]
    domain, right = ax.figure.axes[1:]
    assert domain.get_ylabel() == "Domain error"
    assert any(line.get_gid() == GUIDE and set(line.get_ydata()) == {0.5} for line in domain.lines)
    (steering,) = right.lines  # source-only has no λ
    assert steering.get_ydata()[-1] == 2.0
    assert [t.get_text() for t in right.get_yticklabels()][-1] == "2"


def test_a_training_of_one_epoch_is_a_point():
    one = Band(np.array([0.5]), np.array([0.0]))
    curve = LearningCurves(np.array([1]), one, one, one, np.array([0.0]))
    ax = plotting.loss({"source-only": curve})
    assert ax.lines[0].get_marker() == "o"


def test_given_axes_are_drawn_on_and_left_in_place():
    figure = Figure(figsize=(12, 5))
    left, middle, right = figure.subplots(1, 3)
    boxes = [ax.get_position().bounds for ax in figure.axes]
    assert plotting.data_mc(comparison(), "x", ax=left) is left
    assert plotting.roc(curves(), ax=middle) is middle
    assert plotting.loss({"dann": learning()}, ax=right) is right
    assert [ax.get_position().bounds for ax in figure.axes] == boxes
    assert left.get_xlabel() == "x"
    assert middle.get_xlabel().startswith("Signal efficiency")
    assert right.get_xlabel() == "Epoch"


def test_nothing_is_printed_that_was_not_given():
    ax = plotting.roc(curves())
    before = len(ax.texts)
    plotting.experiment_label(ax, simulation=True)
    assert len(ax.texts) == before == 0


def test_the_energy_is_never_invented():
    """mplhep's own default is 13 TeV."""
    ax = plotting.roc(curves())
    plotting.experiment_label(ax, "CMS", text="Preliminary", lumi=4.4)
    words = [text.get_text() for text in ax.texts]
    assert "CMS" in words
    assert "Preliminary" in words
    assert any("4.4" in w and "fb" in w for w in words)
    assert not any("TeV" in w for w in words)
    plotting.experiment_label(ax, com=8.0)
    assert any("8 TeV" in text.get_text() for text in ax.texts)


def test_simulation_is_said_only_beside_an_experiment():
    ax = plotting.roc(curves())
    plotting.experiment_label(ax, "CMS", simulation=True)
    assert "Simulation" in [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_the_axis_rises_when_there_is_no_free_place(scale):
    (ax,) = new_axes()
    ax.stairs(np.full(20, 100.0), np.linspace(0, 1, 21), fill=True, label="full everywhere")
    ax.set_yscale(scale)
    ax.set_xlim(0, 1)
    ax.set_ylim(1, 105)
    assert settle(ax)
    assert ax.get_ylim()[1] > 105
    assert ax.get_ylim()[0] == 1
    assert_legend_is_off_the_data(ax)
    assert not settle(ax)  # enough is enough


def test_a_legend_takes_a_free_corner_before_it_raises_the_axis():
    (ax,) = new_axes()
    x = np.linspace(0, 1, 50)
    ax.plot(x, x, label="rising")
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.02)
    assert not settle(ax)
    assert_legend_is_off_the_data(ax)


def test_no_pyplot_figure_is_left_behind():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    list(draw())
    assert plt.get_fignums() == before


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_minor_ticks_drawn_as_one_line_are_those_of_matplotlib(tmp_path, scale):
    """In two panels that share an axis, and with a curve over the ticks."""
    images = []
    for joined in (True, False):
        with plotting.style():
            above, below = new_axes((2.0, 1.0))
            for ax in (above, below):
                ax.plot([1.0, 1.0, 30.0], [1.0, 4000.0, 4000.0])
                ax.set(yscale=scale, xlim=(1.0, 31.7), ylim=(0.9, 4000.0))
            if joined:
                (path,) = plotting.save(above, tmp_path / "ticks", ["png"])
            else:
                path = tmp_path / "plain.png"
                above.figure.savefig(path)
        with Image.open(path) as image:
            assert image.info["dpi"] == pytest.approx((150, 150), abs=0.1)
            images.append(np.asarray(image.convert("RGB")).astype(int))
    assert len(below.xaxis.get_minorticklocs())
    assert (images[0][0, 0] == 255).all()
    assert np.abs(images[0] - images[1]).max() <= 32, "256 colours, and no tick elsewhere"


def test_a_figure_of_ones_own_is_saved_too(tmp_path):
    """It has no canvas of matplotlib's that draws pictures, and another resolution."""
    figure = Figure(figsize=(2, 1), dpi=72)
    canvas = figure.canvas
    with plotting.style():
        (path,) = plotting.save(figure.subplots(), tmp_path / "small", ["png"])
    with Image.open(path) as image:
        assert image.size == (300, 150)
    assert (figure.canvas, figure.dpi) == (canvas, 72)
