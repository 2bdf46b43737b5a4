"""The page: whole, alone, and deaf to markup in names."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import shutil
from html.parser import HTMLParser

import h5py
import pytest
from PIL import Image

import hepdann
import hepdann.plotting.run as plotting_run
import hepdann.reporting.figures as reporting_figures
import hepdann.reporting.page as reporting_page
from hepdann.errors import RunError
from hepdann.evaluation import open_scores
from hepdann.plotting.run import draw_all

HOSTILE = "</script><script>alert(1)</script>"
VOID = {"meta", "link", "img", "br", "input"}


class Page(HTMLParser):
    """Elements of a page in order, and the text inside each script, style and cell."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.text = [], [], {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        if self.open:
            self.text.setdefault(self.open[-1], []).append(data)


@pytest.fixture(scope="session")
def parsed(page):
    return Page(page.read_text(encoding="utf-8"))


def numbers(parsed):
    return json.loads(next(t for t in parsed.text["script"] if t.startswith("{")))


def test_it_is_well_formed_and_in_one_language(parsed):
    assert not parsed.open
    assert parsed.elements[0] == ("html", {"lang": "en"})


def test_nothing_in_it_points_outside(parsed):
    for _, attributes in parsed.elements:
        for name in ("src", "href", "srcset", "action", "data"):
            link = attributes.get(name)
            assert link is None or link.startswith(("#", "data:")), link
    assert not re.findall(r"url\(|@import", "".join(parsed.text["style"]))


def test_its_policy_allows_its_own_script_and_style_alone(parsed):
    policy = next(a["content"] for t, a in parsed.elements if a.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    script = next(t for t in parsed.text["script"] if not t.startswith("{"))
    for text in (script, parsed.text["style"][0]):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_names_cannot_become_markup(parsed):
    assert [t for t, _ in parsed.elements].count("script") == 2
    assert not [t for t, _ in parsed.elements if t in ("b", "alert")]
    assert any(HOSTILE in text for text in parsed.text["td"] + parsed.text["th"])
    titles = [chart["title"] for chart in next(iter(numbers(parsed).values()))]
    assert any(HOSTILE in title for title in titles)


def shown_figures(parsed):
    return [a for t, a in parsed.elements if t == "img" and "data-name" in a]


def test_every_figure_is_a_picture_with_words_beside_it(parsed, runs):
    figures = shown_figures(parsed)
    expected = [
        name
        for run in runs
        for name, kind in hepdann.plotting.figure_names(run).items()
        if kind in ("loss", "calibration", "correlation")
    ]
    shown = [figure["data-name"].split("_", 1)[1].removesuffix(".png") for figure in figures]
    assert [name for name in shown if name in expected] == expected
    assert not [name for name in shown if name.startswith(("roc_", "scores_"))], "they are charts"
    for figure in figures:
        png = base64.b64decode(figure["src"].removeprefix("data:image/png;base64,"))
        with Image.open(io.BytesIO(png)) as image:
            assert image.width == 1200
            assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        assert len(figure["alt"]) > 20


@pytest.fixture
def drawn(runs, tmp_path, monkeypatch):
    """A copy of a run with two pictures, and what draws its figures: it notes their names."""
    names = []

    def draw(jobs, config, target, **settings):
        names.append([job.name for job in jobs])
        return draw_all(jobs, config, target, **settings)

    run = shutil.copytree(runs[1], tmp_path / "run")
    shutil.rmtree(run / "plots", ignore_errors=True)
    monkeypatch.setattr(reporting_figures, "_KINDS", {"loss", "calibration"})
    monkeypatch.setattr(plotting_run, "draw_all", draw)
    hepdann.plotting.plot_run(run, only=["loss", "calibration"])
    names.clear()
    return run, names


def figures_on_page(run, folder, **settings):
    text = hepdann.report([run], folder / "r.html", **settings).read_text()
    return {a["data-name"]: a["src"] for a in shown_figures(Page(text))}


def test_what_was_drawn_is_not_drawn_again(drawn, tmp_path):
    run, names = drawn
    shown = figures_on_page(run, tmp_path)
    png = base64.b64encode((run / "plots" / "loss.png").read_bytes()).decode()
    assert shown["run-run_loss.png"] == f"data:image/png;base64,{png}"
    (run / "plots" / "loss.png").unlink()
    assert figures_on_page(run, tmp_path) == shown
    assert figures_on_page(run, tmp_path) == shown
    assert names == [["loss"]]


def test_a_run_without_its_tensor_file_has_a_page_and_says_what_is_left_out(
    runs, tmp_path, monkeypatch
):
    monkeypatch.setattr(reporting_figures, "_KINDS", {"loss", "data_mc"})
    shutil.copytree(runs[0], tmp_path / "run")
    origin = json.loads((tmp_path / "run" / "origin.json").read_text())
    origin["tensors"] = "gone.h5"
    (tmp_path / "run" / "origin.json").write_text(json.dumps(origin))
    text = hepdann.report([tmp_path / "run"], tmp_path / "r.html").read_text()
    names = {a["data-name"] for a in shown_figures(Page(text))}
    assert "run-run_loss.png" in names
    features = open_scores(runs[0]).features
    assert not any(f"data_mc_{feature}." in name for name in names for feature in features)
    assert "figures of features are left out: gone.h5: " in text


@pytest.mark.parametrize("change", ["scores", "history", "look", "name", "code", "tensors", "file"])
def test_no_picture_of_something_else_is_shown(drawn, tmp_path, monkeypatch, change):
    run, names = drawn
    loss, settings = run / "plots" / "loss.png", {}
    if change == "scores":
        with h5py.File(run / "scores.h5", "a") as file:
            file["mc/weight"][0] += 1
    elif change == "history":
        path = run / "history.csv"
        text = path.read_text().replace(",0.", ",0.1", 1)
        stat = path.stat()
        path.write_text(text)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    elif change == "look":
        settings["look"] = {"text": "Internal"}
    elif change == "name":
        shutil.copy(run / "plots" / "calibration_mc.png", loss)
    elif change == "code":
        monkeypatch.setattr(plotting_run, "_code", lambda: b"another")
    elif change == "tensors":
        monkeypatch.setattr(plotting_run, "file_stamp", lambda path: (str(path), 1))
    else:
        loss.write_bytes(b"GIF89a")
    kept = loss.read_bytes()
    figures_on_page(run, tmp_path, **settings)
    assert "loss" in names[0]
    assert loss.read_bytes() == kept, "what another look drew stays"


def test_figures_that_the_configuration_lists_come_first_under_their_titles(parsed):
    figures = shown_figures(parsed)
    assert figures[0]["data-name"] == "run-a-b-x_twice.png"
    assert figures[0]["alt"] == f"{HOSTILE}."


def test_a_caption_calls_a_feature_by_its_title(parsed):
    words = [figure["alt"] for figure in shown_figures(parsed)]
    assert "Pb of the jet: data over the stack of MC, and their ratio." in words


def test_the_numbers_are_those_of_the_run(parsed, runs):
    metrics = hepdann.open_run(runs[0]).metrics["methods"]
    roc = numbers(parsed)["run-a-b-x"][0]
    assert roc["kind"] == "roc"
    areas = [curve["auc"] for curve in roc["curves"]]
    expected = [block["target"]["auc"] for block in metrics.values()]
    assert areas == pytest.approx(expected, abs=1e-6)
    assert [curve["name"] for curve in roc["curves"] if curve["band"]] == ["source only", "DANN"]
    for curve in roc["curves"]:
        assert len(curve["x"]) == len(curve["y"]) == len(curve["low"]) == len(curve["high"])
        assert all(
            a <= b <= c for a, b, c in zip(curve["low"], curve["y"], curve["high"], strict=True)
        )
    scores = next(c for c in numbers(parsed)["run-data"] if c["kind"] == "scores")
    assert len(scores["edges"]) == len(scores["data"]["y"]) + 1


def test_a_run_on_data_has_no_target_figure_and_says_so(parsed):
    text = " ".join(parsed.text["td"])
    assert "pseudo-data, shift sine t = 3" in text
    assert text.count("-") >= 3


def test_a_failed_report_leaves_the_earlier_one(folder, page, runs):
    before = page.read_bytes()
    with pytest.raises(RunError, match="no such run folder"):
        hepdann.report([*runs, folder / "absent"], page)
    assert page.read_bytes() == before


def test_it_is_small_and_runs_of_one_name_are_told_apart(page, folder, runs, tmp_path):
    assert page.stat().st_size < 5e6
    copy = tmp_path / "other" / "data"
    shutil.copytree(runs[1], copy)
    from hepdann.reporting import named_runs

    assert list(named_runs([runs[1], copy, runs[1]])) == [f"{folder.name}/data", "other/data"]


def test_what_has_passed_is_no_warning_as_in_evaluate():
    from hepdann.reporting.page import _warnings

    verdicts = [{"message": m, "until": until} for m, until in (("past", 1), ("present", 4))]
    metrics = {"methods": {"dann": {"health": {"epoch": 4, "verdicts": verdicts}}, "quantile": {}}}
    assert _warnings(metrics) == ["dann: present"]


def test_runs_of_like_names_have_anchors_and_charts_of_their_own(runs, tmp_path, monkeypatch):
    """``run_1`` and ``run-1``: each link leads to its own run, and each chart is its own."""
    monkeypatch.setattr(reporting_page, "figures_of", lambda *_: ())
    folders = [tmp_path / name for name in ("run_1", "run-1")]
    for run, folder in zip(runs, folders, strict=True):
        shutil.copytree(run, folder)
    text = hepdann.report(folders, tmp_path / "r.html").read_text()
    ids = re.findall(r'<h2 id="(run-[^"]*)"', text)
    assert len(set(ids)) == 2
    assert re.findall(r'data-run="([^"]*)"', text) == ids
    charts = numbers(Page(text))
    assert list(charts) == ids
    assert [any("sine" in chart["title"] for chart in charts[i]) for i in ids] == [True, False]


def test_the_command_takes_the_look_of_the_figures(typed, runs, tmp_path, monkeypatch):
    looks = []

    def draw(quantities, look, *_, **__):
        looks.append((look.style, look.experiment, look.text))
        return {}

    monkeypatch.setattr(reporting_figures, "pictures", draw)
    options = ["--style", "CMS", "--experiment", "ALEPH", "--text", "Internal"]
    done = typed("report", runs[1], *options, "-o", "r.html", cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert looks == [("CMS", "ALEPH", "Internal")]
    done = typed("report", runs[1], "--style", "cmss", cwd=tmp_path)
    assert (done.code, done.stderr.count("\n")) == (2, 1)
    assert "CMS" in done.stderr


def test_a_phone_reads_every_figure_of_the_table(parsed):
    """A narrow page shows a card a method: each cell carries the title of its column."""
    heads = [a for t, a in parsed.elements if t == "td" and "data-title" in a]
    titles = [a["data-title"] for a in heads]
    assert {"run", "target", "epoch", "networks", "MC AUC", "target AUC"} <= set(titles)
    style = parsed.text["style"][0]
    assert "attr(data-title)" in style
    assert "anywhere" not in style, "it breaks words where there is room for them"
