"""The table of methods: honest columns, and the same numbers in every form."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hepdann
from hepdann.reporting import COLUMNS, Cell, methods_table, named_runs, to_csv, to_latex


@pytest.fixture(scope="session")
def rows(runs):
    return methods_table(named_runs(runs))


def test_every_method_of_every_run_has_a_row(rows, runs):
    found = [(row.run, row.method) for row in rows]
    assert found == [(run.name, m) for run in runs for m in hepdann.open_run(run).methods]
    for run in runs:
        best = hepdann.open_run(run).metrics["recommended"]
        assert [r.method for r in rows if r.run == run.name and r.recommended] == [best]


def test_csv_holds_the_figures_unrounded(rows, runs):
    table = list(csv.DictReader(io.StringIO(to_csv(rows))))
    metrics = hepdann.open_run(runs[0]).metrics["methods"]["dann"]
    row = next(r for r in table if r["run"] == runs[0].name and r["method"] == "dann")
    assert float(row["target_auc"]) == metrics["target"]["auc"]
    assert float(row["mc_accuracy_error"]) == metrics["mc"]["accuracy_error"]
    on_data = next(r for r in table if r["run"] == "data" and r["method"] == "dann")
    assert on_data["target_auc"] == ""
    assert on_data["peeked_target_accuracy"] == ""


def test_latex_has_a_field_a_column_and_escapes_names(rows):
    text = to_latex(rows)
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(lines) == len(rows) + 1
    assert {line.count(" & ") for line in lines} == {lines[0].count(" & ")}
    assert r"a <b>\&'x" in text
    assert text.count("{") == text.count("}")


def test_latex_leaves_out_columns_without_a_figure(rows):
    on_data = [row for row in rows if row.run == "data"]
    assert "target accuracy" not in to_latex(on_data)
    assert "MC accuracy" in to_latex(on_data)


@given(
    st.floats(0, 1, allow_subnormal=False),
    st.one_of(st.none(), st.floats(1e-5, 0.5)),
)
def test_a_cell_shows_its_figure_within_a_tenth_of_its_error(value, error):
    shown = Cell(value, error).text().split(" ± ")
    assert abs(float(shown[0]) - value) <= (0.051 * error if error and error < 0.05 else 0.0051)
    assert (len(shown) == 2) == (error is not None)


def test_columns_say_what_peeking_is():
    peeked = next(c for c in COLUMNS if c.key.startswith("peeked"))
    assert "used for nothing" in peeked.help


def test_the_command_writes_tables_and_overlays(typed, runs, tmp_path):
    done = typed(
        "compare", *runs, "--csv", "t.csv", "--latex", "t.tex", "-o", "overlay", cwd=tmp_path
    )
    assert done.code == 0, done.stderr
    assert "dann" in done.stdout
    assert "none by a target label" in done.stdout
    assert (tmp_path / "t.csv").stat().st_size > 100
    assert (tmp_path / "overlay" / "roc_mc_dann.png").exists()
    assert not (tmp_path / "overlay" / "roc_mc_oracle.png").exists()


def test_json_holds_every_figure_by_the_name_of_the_csv(typed, runs, tmp_path):
    typed("compare", *runs, "--csv", "t.csv", cwd=tmp_path)
    table = list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text())))
    rows = json.loads(typed("compare", *runs, "--json", cwd=tmp_path).stdout)
    assert [row["method"] for row in rows] == [row["method"] for row in table]
    for row, line in zip(rows, table, strict=True):
        for name in ("mc_auc", "target_accuracy"):
            assert row["figures"][name]["value"] == (float(line[name]) if line[name] else None)


def test_a_folder_that_is_no_run_is_one_line_and_code_2(typed, runs, tmp_path):
    for command in ("compare", "report"):
        done = typed(command, runs[0], tmp_path, cwd=tmp_path)
        assert done.code == 2
        assert done.stderr.count("\n") == 1
        assert "not a run folder" in done.stderr
        assert not (tmp_path / "report.html").exists()
