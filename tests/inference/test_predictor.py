"""The model of a run folder scores events: whole, in blocks, and step by step."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save

from hepdann.alignment import AffineMap, Moments
from hepdann.domains import Scaling
from hepdann.errors import RunError
from hepdann.inference import (
    Combination,
    MethodMean,
    Model,
    NetworkSteps,
    Part,
    corrected,
    load_model,
    open_predictor,
    prior_corrected,
    save_model,
)
from hepdann.inputs import read_tensors
from hepdann.networks import AdversarialNetwork, NetworkShape
from hepdann.registry import PRIOR
from hepdann.store.model_file import StoredMixture, read_header, read_model, write_model
from hepdann.store.paths import RunPaths
from hepdann.tensors import Target

NAMES = ("pt", "mass", "no_mass")
CORRECTION = (0.1, -0.7)


def events(shift: float, n: int = 300) -> Target:
    x = np.random.default_rng(3).normal(shift, 1, (n, 3)).astype(np.float32)
    one = np.ones(n, np.float32)
    return Target(x, one, np.arange(n, dtype=np.uint64), np.zeros(n, np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Networks of two methods with random weights, a map, a prior and a mixture."""

    def part(seeds, target_domain):
        network = AdversarialNetwork(NetworkShape(3, 2), seeds)
        return Part(network.shape, network.arrays(), target_domain, (1.0,) * len(seeds), seeds)

    model = Model(
        features=NAMES,
        classes=("background", "signal"),
        scaling=Scaling(np.zeros(3), np.full(3, 0.5), np.full(3, 2.0)),
        alignments={"moments": Moments.fit(events(2.0), events(0.0))},
        parts={"source-only": part((0, 1), 0), "dann": part((0, 1), 1)},
        mixtures=prior_corrected(CORRECTION)
        | {"guard": MethodMean((PRIOR, "moments"), ((0.0, 0.2), (0.0, 0.0)), (1.0, 3.0))},
        correction=CORRECTION,
        missing={"mass": -999.0},
        indicators={"no_mass": "mass"},
    )
    path = tmp_path_factory.mktemp("run")
    save_model(model, RunPaths(path).model)
    return path


@pytest.mark.parametrize("method", ["source-only", "dann", "moments", PRIOR, "guard"])
@pytest.mark.parametrize("domain", ["source", "target"])
def test_blocks_score_as_all_events_at_once(folder, method, domain):
    predictor = open_predictor(folder, method, domain)
    x = events(1.0).features
    whole = predictor.scores(x)
    blocks = [predictor.scores(part) for part in (x[:7], x[7:7], x[7:])]
    np.testing.assert_allclose(np.concatenate([b.mean for b in blocks]), whole.mean, rtol=1e-5)
    np.testing.assert_allclose(np.concatenate([b.domain for b in blocks]), whole.domain, rtol=1e-5)
    np.testing.assert_array_equal(predictor.score(x), whole.mean)
    np.testing.assert_array_equal(whole.spread, whole.members.std(axis=0, ddof=1))


def test_columns_are_taken_by_name_and_sentinels_are_missing(folder):
    predictor = open_predictor(folder, "dann")
    assert predictor.columns.features == NAMES
    assert predictor.columns.missing == {"mass": -999.0}
    table = predictor.inputs({"mass": [-999.0, 1.0], "pt": [3.0, 4.0]})
    np.testing.assert_array_equal(table, np.array([[3, np.nan, 1], [4, 1, 0]], np.float32))


def test_the_steps_of_an_aligned_method_give_its_score(folder):
    predictor = open_predictor(folder, "moments")
    step, x = predictor.steps, events(1.0).features
    assert isinstance(step, NetworkSteps)
    assert step.correction == CORRECTION
    assert step.mapped is not None
    assert step.scaling is not None
    mapped = step.mapped.apply(x)
    raw = open_predictor(folder, "source-only", "source").scores(mapped).members
    expected = corrected(raw, step.correction).mean(axis=0)
    np.testing.assert_array_equal(predictor.score(x), expected)


def test_the_steps_of_a_mixture_lead_to_networks(folder):
    step = open_predictor(folder, "guard").steps
    assert isinstance(step, Combination)
    prior, aligned = step.parts
    assert isinstance(prior, Combination)
    assert isinstance(prior.parts[0], NetworkSteps)
    assert isinstance(aligned, NetworkSteps)
    assert step.mixture.weights == (1.0, 3.0)


def test_unknown_methods_and_domains_are_refused_when_the_run_is_opened(folder):
    with pytest.raises(RunError, match="no method 'x'; there are source-only"):
        open_predictor(folder, "x")
    with pytest.raises(RunError, match="no domain 'mc'"):
        open_predictor(folder, "dann", "mc")


def test_the_feature_layer_of_a_mean_of_a_mean_is_that_of_its_first_network(folder):
    predictor, x = open_predictor(folder, "guard"), events(1.0).features
    expected = open_predictor(folder, "source-only").model.latent(x, "source-only")
    np.testing.assert_array_equal(predictor.model.latent(x, "guard"), expected)


@pytest.mark.parametrize("parts", [["guard", "source-only"], ["nobody"]])
def test_a_stored_mean_is_never_made_of_itself_or_of_what_is_not_there(folder, tmp_path, parts):
    header, tensors = read_model(RunPaths(folder).model)
    mean = StoredMixture(parts=parts, offsets=[[0.0, 0.0]] * len(parts))
    header = header.model_copy(update={"mixtures": {"guard": mean}})
    write_model(RunPaths(tmp_path).model, header, tensors)
    with pytest.raises(RunError, match="is no method before it"):
        load_model(RunPaths(tmp_path).model)


def test_the_matrix_of_a_map_of_many_features_is_a_tensor_and_the_same_to_the_bit(tmp_path):
    """As text a thousand features would be more than the header of safetensors holds."""
    count = 70
    random = np.random.default_rng(5)
    names = tuple(f"x{i}" for i in range(count))
    network = AdversarialNetwork(NetworkShape(count, 2), (0,))
    linear = AffineMap(random.normal(size=(count, count)), *random.normal(size=(2, count)))
    model = Model(
        features=names,
        classes=("background", "signal"),
        scaling=Scaling(np.zeros(count), np.zeros(count), np.ones(count)),
        alignments={"affine": linear},
        parts={"source-only": Part(network.shape, network.arrays(), 0, (1.0,), (0,))},
    )
    path = RunPaths(tmp_path).model
    save_model(model, path)
    texts, tensors = read_tensors(path, framework="numpy")
    matrix = tensors["header/0"]
    np.testing.assert_array_equal(matrix, linear.matrix)
    again = load_model(path)
    x = random.normal(size=(5, count)).astype(np.float32)
    np.testing.assert_array_equal(again.alignments["affine"].apply(x), linear.apply(x))
    assert read_header(path) == read_model(path)[0]
    del tensors["header/0"]
    path.write_bytes(save(tensors, texts))
    with pytest.raises(RunError, match="is damaged"):
        load_model(path)
