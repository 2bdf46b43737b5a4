"""The benchmarks of the DANN paper, with tiny trainings on files that are written here."""

from __future__ import annotations

import gzip
import json
import signal

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hepdann.errors import ConfigError, Interrupted, ReadError, RunError
from hepdann.experiments import Line, Table, benchmark
from hepdann.experiments.benchmark import SeedMean
from hepdann.experiments.plans import plan
from hepdann.inference.steps import choose_autocast
from hepdann.plotting import style
from hepdann.plotting.figures.planes import planes
from hepdann.readers.amazon_reviews import convert_reviews, read_reviews
from hepdann.stats import proxy_distance
from hepdann.tensors import open_tensors
from hepdann_cli.interruption import Interruption
from hepdann_cli.main import hepdann as command
from hepdann_cli.signals import Left

FEW_MOONS = {"train": 60, "validation": 8, "test": 10}
DOMAINS = ("books", "dvd", "electronics", "kitchen")


def write_reviews(folder, words=40):
    generator = np.random.default_rng(0)
    folder.mkdir()
    for domain in DOMAINS:
        for part, count in (("train", 60), ("test", 40)):
            lines = []
            for number in range(count):
                good = number % 2
                first = 20 * good if generator.random() < 0.9 else 0
                chosen = np.unique(generator.integers(first, first + 20, 8))
                lines.append(f"{2 * good - 1} " + " ".join(f"{word}:2" for word in chosen))
            content = gzip.compress("\n".join(lines).encode())
            (folder / f"{domain}_{part}.svmlight.gz").write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    return write_reviews(tmp_path_factory.mktemp("data") / "amazon")


def test_moons_are_trained_once_and_their_table_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("hepdann.experiments.plans.MOONS", FEW_MOONS)
    settings = {"output": tmp_path, "seeds": 2, "epochs": 1, "workers": 1}
    said = []
    table = benchmark("moons", report=lambda what, step: said.append((what, step)), **settings)
    assert [line.method for line in table.lines] == [
        "source-only", "dann", "train on target", "dann, two layers of 50",
    ]  # fmt: skip
    assert all(line.seeds == 2 for line in table.lines)
    assert table.lines[3].more["chosen_lambda"] in (0.3, 1.0, 3.0)
    assert table.lines[1].paper == 1.0
    assert all(0 <= line.mean_score <= 1 for line in table.lines)
    assert list(table.planes) == [line.method for line in table.lines]
    plane = table.planes["dann, two layers of 50"]
    assert plane.scores.shape == (2, 80, 80)  # of the two seeds at λ = 1
    assert plane.source.shape == plane.target.shape == (60, 2)
    with style(size="slide"):
        panels = planes(table.planes).figure.axes
    assert [ax.get_title(loc="left") for ax in panels][-1] == "DANN, two layers of 50"
    black = panels[0].lines[-1]
    np.testing.assert_allclose(black.get_xydata(), plane.target, rtol=1e-6)
    assert "moons: done, 1 of 2" in [what for what, _ in said]
    said.clear()
    again = benchmark("moons", report=lambda what, step: said.append(what), **settings)
    assert said == []
    assert again == table
    kept = json.loads((tmp_path / "table.json").read_text())
    assert kept["lines"][0]["last"]["mean"] == table.lines[0].last.mean
    assert "| moons turned by 35° | dann | 2 |" in (tmp_path / "table.md").read_text()
    other = benchmark("moons", **settings | {"epochs": 2})
    assert other.lines[0].more["epochs"] == 2


def test_a_benchmark_that_is_stopped_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr("hepdann.experiments.plans.MOONS", FEW_MOONS)  # 60 steps an epoch
    settings = {"output": tmp_path, "seeds": 1, "epochs": 3, "workers": 1}
    asked = []

    def stop():
        asked.append(1)
        return len(asked) == 90  # within the second epoch

    with pytest.raises(Interrupted):
        benchmark("moons", stop=stop, **settings)
    assert list(tmp_path.glob("moons/*/checkpoint"))
    assert not list(tmp_path.glob("moons/*/result.json"))
    table = benchmark("moons", **settings)
    whole = benchmark("moons", **settings | {"output": tmp_path / "whole"})
    assert [line.last for line in table.lines] == [line.last for line in whole.lines]


def test_ctrl_c_while_a_training_makes_its_files_ends_it_at_once(tmp_path, monkeypatch):
    def make(path):
        signal.raise_signal(signal.SIGINT)
        path.write_bytes(b"went on")

    monkeypatch.setattr("hepdann.experiments.plans.make_moons", make)
    interruption = Interruption()
    with interruption.listening(), pytest.raises(Left):
        benchmark("moons", output=tmp_path, seeds=1, workers=1, stop=interruption,
                  report=interruption.wrap(lambda stage, step: None))  # fmt: skip
    assert not list(tmp_path.glob("*.h5"))


def test_reviews_are_split_as_the_paper_does(reviews, tmp_path):
    convert_reviews(reviews, "books", "dvd", tmp_path / "t.h5", words=40)
    tensors = open_tensors(tmp_path / "t.h5")
    assert np.bincount(tensors.source().split).tolist() == [54, 6, 40]
    assert np.bincount(tensors.target().split).tolist() == [54, 6, 40]
    table, label = read_reviews(reviews / "books_train.svmlight.gz", 40)
    np.testing.assert_allclose(np.linalg.norm(table, axis=1), 1, rtol=1e-6)
    assert sorted(set(label)) == [0, 1]
    assert len(np.unique(tensors.source().event_id)) == 100


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"1 99:1", "no svmlight file"), (b"5 0:1", "labels other than"), (b"\0\1", "no svmlight")],
)
def test_reviews_that_are_none_are_refused(tmp_path, content, message):
    (tmp_path / "a.svmlight").write_bytes(content)
    with pytest.raises(ReadError, match=message):
        read_reviews(tmp_path / "a.svmlight", 40)


def test_the_tables_of_reviews_have_the_distance_and_the_chosen_factor(
    reviews, tmp_path, monkeypatch
):
    monkeypatch.setattr("hepdann.experiments.plans.DOMAINS", ("books", "dvd"))
    monkeypatch.setattr(convert_reviews, "__defaults__", (40,))
    table = benchmark("amazon", output=tmp_path, data=reviews.parent, seeds=2, epochs=1, workers=1)
    assert [line.experiment for line in table.lines] == 2 * ["books → dvd"] + 2 * ["dvd → books"]
    assert table.lines[1].more["chosen_lambda"] in (0.3, 1.0)
    assert all(0 <= line.more["distance"] <= 2 for line in table.lines)
    assert "of 2 pairs" in table.sentences[0]
    assert not list(tmp_path.glob("*.h5"))


def test_a_data_set_that_is_not_there_is_named_with_its_address(tmp_path):
    with pytest.raises(ConfigError, match=r"amazon is not there; get it from https://"):
        benchmark("amazon", output=tmp_path / "out", data=tmp_path)
    result = CliRunner().invoke(command, ["benchmark", "spam", "-o", str(tmp_path)])
    assert "there is no benchmark 'spam'" in str(result.exception)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder of data with digits and a photograph."""
    generator = np.random.default_rng(0)
    data = tmp_path_factory.mktemp("pictures")
    (data / "digits" / "bsds500").mkdir(parents=True)
    label = np.arange(300) % 10
    images = generator.integers(0, 40, (300, 28, 28)).astype(np.uint8)
    images[np.arange(300), 4 + 2 * label] = 255  # a line whose row is the class
    arrays = {"x_train": images, "y_train": label, "x_test": images[:60], "y_test": label[:60]}
    np.savez(data / "digits" / "mnist.npz", **arrays)
    photograph = generator.integers(0, 256, (40, 40, 3)).astype(np.uint8)
    Image.fromarray(photograph).save(data / "digits" / "bsds500" / "a.png")
    return data


def test_digits_train_each_method_of_each_seed_by_itself(digits, tmp_path):
    arguments = [
        "benchmark", "digits", "-o", str(tmp_path / "out"), "--data", str(digits),
        "--seeds", "1", "--epochs", "1", "--workers", "1", "--json",
    ]  # fmt: skip
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    table = json.loads(result.stdout)
    assert [line["method"] for line in table["lines"]] == [
        "source-only", "subspace alignment", "dann", "train on target",
        "dann, domain normalisation", "dann, 100 target labels", "mmd", "coral",
    ]  # fmt: skip
    assert table["lines"][0]["paper"] == 0.5225
    assert all(line["seeds"] == 1 for line in table["lines"])
    of_one = {line["method"]: (line["mean_score"], line["last"]["mean"]) for line in table["lines"]}
    assert of_one.pop("subspace alignment")[0] is None
    assert all(mean_score == last for mean_score, last in of_one.values())
    halved = choose_autocast("auto", "cpu") == "bf16"
    assert ("convolutions in bf16" in table["sentences"]) == halved
    scores = next((tmp_path / "out").rglob("scores.npy"))
    scores.write_bytes(scores.read_bytes()[:200])
    result = CliRunner().invoke(command, arguments)
    assert isinstance(result.exception, RunError)
    assert str(result.exception).startswith(f"{scores}: is damaged")


def test_numbers_are_trained_on_in_both_directions(digits, tmp_path, monkeypatch):
    monkeypatch.setattr("hepdann.experiments.plans.NUMBERS", 60)
    work = plan("numbers", tmp_path, digits, seeds=2)
    experiments = list(dict.fromkeys(experiment for experiment, _ in work.trials))
    assert experiments == ["MNIST → drawn numbers", "drawn numbers → MNIST"]
    keys = [trial.key for _, trial in work.trials]
    assert len(set(keys)) == len(keys) == 2 * 4 * 2
    assert keys[:3] == [
        "mnist-to-drawn-numbers-source-only-0", "mnist-to-drawn-numbers-source-only-1",
        "mnist-to-drawn-numbers-dann-0",
    ]  # fmt: skip
    forth, back = (open_tensors(work.trials[k][1].tensors) for k in (0, -1))
    assert forth.views[0].shape == back.views[0].shape == (3, 28, 28)
    np.testing.assert_array_equal(forth.source().event_id, back.target().event_id)
    assert forth.has_truth
    assert back.has_truth


def test_the_gap_is_what_a_method_covers_of_it():
    def line(method, value):
        figure = SeedMean(value, None)
        return Line("e", method, 1, figure, figure, figure, None, None, {})

    table = Table("t", (line("source-only", 0.5), line("dann", 0.7), line("train on target", 0.9)))
    assert table.gap(table.lines[1]) == pytest.approx(0.5)
    assert table.gap(table.lines[0]) is None
    assert table.rows()[1][-2] == "50.0 %"


def test_the_proxy_distance_is_0_of_one_sample_and_2_of_two():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 400, 5))
    assert proxy_distance(x, y) < 0.35
    assert proxy_distance(x, y + 6) > 1.95
    assert proxy_distance(x, y + 0.7) < proxy_distance(x, y + 1.5)
