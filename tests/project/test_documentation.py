"""A script of the documentation runs as it stands."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from hepdann.samples import write_bjets


@pytest.mark.slow
def test_the_script_of_the_page_on_python_runs(few_trees, root, tmp_path, monkeypatch, capfd):
    text = (root / "docs" / "python.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    script = "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S))
    names: dict[str, object] = {}
    exec(compile(script, "docs/python.md", "exec"), names)
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {
        "gaussian-t8-1", "both", "arrays",
    }  # fmt: skip
    out, err = capfd.readouterr()
    assert "<Run runs/gaussian-t8-1: target pseudo-data gaussian t = 8" in out
    assert "step " in err


def test_what_the_page_on_adding_registers_can_be_used(root, tmp_path):
    """In a process of its own: a criterion that is registered is in the metrics of all runs."""
    text = (root / "docs" / "adding.md").read_text(encoding="utf-8")
    parts = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    assert len(parts) == 7
    write_bjets(tmp_path, 400, 1)
    quick = "seeds=1, epochs=1, diagnose=False, oracle=False"
    parts = [part.split("\n\nif __name__", 1)[0].split("\n\nrun = ", 1)[0] for part in parts]
    parts.append(
        "import json\n"
        "hepdann.convert('mc.root', 'data.root', output='t.h5')\n"
        f"quick = dict({quick}, alignments=['centre'], network='encoder')\n"
        "for name in ('stretch', 'smear'):\n"
        "    shift = hepdann.shifts.get(name, 3)\n"
        "    run = hepdann.train('t.h5', method='mine', shift=shift, output=name, **quick)\n"
        "made = hepdann.plotting.plot_run('smear', only=['mean_score'])\n"
        "block = run.metrics['methods']['mine']['criteria']\n"
        "print(json.dumps([list(run.methods), block['margin'], made[0].name]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n\n".join(parts)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    methods, margin, made = json.loads(done.stdout.splitlines()[-1])
    assert {"centre", "mine"} <= set(methods)
    assert 0 <= margin <= 0.5
    assert made == "mean_score.pdf"
