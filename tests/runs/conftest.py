from __future__ import annotations

import pytest
import sklearn.ensemble

from hepdann import samples
from hepdann.config import Config
from hepdann.readers import convert


@pytest.fixture(scope="module")
def few_trees():
    """Where nothing asks how well trees distinguish, five do for forty: a third of a run's time."""
    trees = sklearn.ensemble.HistGradientBoostingClassifier
    with pytest.MonkeyPatch.context() as patch:
        few = lambda **given: trees(**given | {"max_iter": 5})  # noqa: E731
        patch.setattr(sklearn.ensemble, "HistGradientBoostingClassifier", few)
        yield


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """A folder with a small simulated sample and its tensor file, truth included."""
    folder = tmp_path_factory.mktemp("toy")
    samples.write_bjets(folder, 2000, 4, True)
    config = Config.model_validate(
        {"convert": {"weight": "weight", "features": list(samples.INPUTS)}}
    )
    convert(
        [str(folder / "mc.root")],
        [str(folder / "data.root")],
        output=folder / "tensors.h5",
        config=config,
        truth=str(folder / "truth.root"),
    )
    return folder
