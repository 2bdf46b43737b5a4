"""`hepdann workingpoints`: what it prints, what the run keeps, and what it refuses."""

from __future__ import annotations

import json

import pytest

from hepdann.errors import RunError
from hepdann.evaluation import open_scores, point_rows, summarise
from hepdann.store.paths import RunPaths
from hepdann.store.working_points import read_working_points


@pytest.fixture(name="folder", scope="module")
def folder_fixture(tmp_path_factory):
    """A run of two classes on pseudo-data, with its figures."""
    from ..evaluation.conftest import write_run

    folder = write_run(tmp_path_factory.mktemp("points") / "run")
    content = json.dumps(summarise(folder), allow_nan=False)
    RunPaths(folder).metrics.write_text(content, encoding="utf-8")
    return folder


def test_the_run_keeps_what_is_printed_and_no_truth_of_the_target(run, folder):
    assert read_working_points(folder) == []
    code, out, err = run(
        "workingpoints", folder, "--efficiency", "0.6,0.8", "--method", "dann", "--json"
    )
    assert (code, err) == (0, "")
    points = read_working_points(folder)
    assert json.loads(out)["points"] == [p.model_dump(mode="json") for p in points]
    assert [(p.method, p.signal, p.efficiency) for p in points] == [
        ("dann", "c1", 0.6), ("dann", "c1", 0.8),
    ]  # fmt: skip
    assert not {"target", "scale_factor"} & set(json.loads(out)["points"][0])
    (row, _) = point_rows(open_scores(folder), [0.6, 0.8], methods=["dann"])
    assert row.point.target is not None
    assert points[0].threshold.value == row.point.threshold
    assert points[0].mc.signal.value == pytest.approx(0.6, abs=0.1)


def test_by_default_it_is_the_recommended_method_alone(run, folder):
    code, out, _ = run("workingpoints", folder)
    assert code == 0
    recommended = json.loads(RunPaths(folder).metrics.read_text())["recommended"]
    assert {p.method for p in read_working_points(folder)} == {recommended}
    assert "target threshold" in out


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (("--method", "dan"), "no method with working points 'dan'; did you mean dann?"),
        (("--method", "oracle"), "no method with working points 'oracle'"),
        (("--signal", "tau"), "no class 'tau'; there are c0, c1"),
        (("--efficiency", "60"), "between 0 and 1"),
    ],
)
def test_what_the_run_does_not_have_is_refused_in_one_line(run, folder, option, says):
    code, out, err = run("workingpoints", folder, *option)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("hepdann: error: ")
    assert says in err


def test_damaged_working_points_name_their_key(folder):
    path = RunPaths(folder).working_points
    path.write_text('{"format_version": 1, "points": [{"method": 3}]}')
    with pytest.raises(RunError, match=r"working_points\.json: is damaged: points\.0\.method"):
        read_working_points(folder)
