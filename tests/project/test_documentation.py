"""A script of the documentation runs as it stands."""

from __future__ import annotations

import re

import pytest


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
