from __future__ import annotations

import pytest

from hepdann import samples
from hepdann.config import Config
from hepdann.readers import convert_files


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """A folder with a small simulated sample and its tensor file, truth included."""
    folder = tmp_path_factory.mktemp("toy")
    samples.write_bjets(folder, 2000, 4, True)
    config = Config.model_validate(
        {"convert": {"weight": "weight", "features": list(samples.INPUTS)}}
    )
    convert_files(
        [str(folder / "mc.root")],
        [str(folder / "data.root")],
        output=folder / "tensors.h5",
        config=config,
        truth=str(folder / "truth.root"),
    )
    return folder
