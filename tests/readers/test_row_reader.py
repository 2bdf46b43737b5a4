"""Files are read again as the conversion read them, row by row."""

from __future__ import annotations

import numpy as np
import uproot

from hepdann.config import Config
from hepdann.readers import convert_files
from hepdann.readers.conversion_record import Conversion
from hepdann.readers.files import FileRef
from hepdann.readers.row_reader import RowReader
from hepdann.tensors import open_tensors


def test_events_without_a_number_are_known_again_by_all_their_scalars(tmp_path):
    """Features are among these, which no configuration may name as event ids."""
    generator = np.random.default_rng(1)
    for name, extra in (("mc", {"label": generator.integers(0, 2, 200)}), ("data", {})):
        columns = {"x": generator.normal(size=200), "y": generator.normal(size=200), **extra}
        with uproot.recreate(tmp_path / f"{name}.root") as file:
            file.mktree("events", {k: v.dtype for k, v in columns.items()}).extend(columns)
    config = Config.model_validate({"convert": {"features": ["x", "y"], "label": "label"}})
    paths = [[str(tmp_path / f"{name}.root")] for name in ("mc", "data")]
    convert_files(*paths, output=tmp_path / "t.h5", config=config)
    tensors = open_tensors(tmp_path / "t.h5")
    reader = RowReader(FileRef(paths[1][0]), Conversion.of(tensors))
    rows = list(reader.read(lambda block: block))
    np.testing.assert_array_equal(
        np.concatenate([block.event_id for block in rows]), tensors.column("data", "event_id")
    )
