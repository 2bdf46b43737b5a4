"""What the tests of the project itself share."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def project_files(root: Path) -> list[Path]:
    """The files of the project: what git knows or would take; in an unpacked sdist, all of them."""
    if not (root / ".git").exists():
        made = {".venv", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache"}
        found = (path for path in root.rglob("*") if not made & set(path.parts))
        return [path for path in found if path.is_file() and path.suffix != ".pyc"]
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return [root / line for line in listed.splitlines() if (root / line).is_file()]
