"""Members spread over processes: the same run, whoever trains them and whatever becomes of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.reduction import ForkingPickler

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import hepdann
from hepdann import alignment, methods, networks, parallel, samples, shifts
from hepdann.config import Config, TrainConfig
from hepdann.errors import HepdannError, Interrupted, RunError
from hepdann.inference import Part
from hepdann.methods import DANN_PHASES, Method
from hepdann.networks import AdversarialNetwork, NetworkShape
from hepdann.readers import convert_files
from hepdann.registry import ALIGNMENTS, METHODS, NETWORKS, SHIFTS
from hepdann.runs import resume
from hepdann.runs.preparation import prepare_training
from hepdann.runs.stacks.plan import StackPlan
from hepdann.runs.stacks.shard_training import joined
from hepdann.runs.stacks.shards import cut_into_shards, share_count
from hepdann.runs.stacks.worker_tasks import Registered
from hepdann.training import Member

SAME = ("model.safetensors", "history.csv", "scores.h5", "health.json")
FAST = {
    "seeds": 2,
    "epochs": 100,
    "batch_size": 64,
    "alignments": ["quantile"],
    "normalisation": "none",
    "diagnose": False,
}


@pytest.fixture(scope="module")
def tensors(tmp_path_factory):
    """A tensor file of few events."""
    place = tmp_path_factory.mktemp("few")
    samples.write_bjets(place, 1000, 1, False)
    config = Config(convert={"features": ["spheri", "multip"]})
    convert_files([str(place / "mc.root")], output=place / "tensors.h5", config=config)
    return place / "tensors.h5"


def begun(tensors, output, **options):
    """A run for two workers."""
    shift = shifts.sine(t=3)
    return hepdann.train(tensors, shift=shift, output=output, workers=2, **FAST, **options)


def same(one, two):
    for name in SAME:
        assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes(), name
    first, second = (run.metrics | {"throughput": None} for run in (one, two))
    assert first == second


@pytest.fixture(scope="module")
def run(tensors, tmp_path_factory):
    """The run that one process made of what was cut for two."""
    folder = tmp_path_factory.mktemp("workers") / "run"
    with pytest.raises(Interrupted, match="before the first step"):
        begun(tensors, folder, stop=lambda: True)
    assert not list(folder.glob("checkpoint/stack*"))
    assert not multiprocessing.active_children()
    return resume(folder, given={"train.workers": 1})


def test_a_worker_that_is_killed_ends_the_run_in_one_line(run, tensors, tmp_path):
    """Ctrl-C makes a whole run of what was trained so far; a resume ends in the same bits."""
    folder, lines, killed = tmp_path / "run", [], []

    def report(stage, progress):
        lines.append(stage)
        if progress is not None and len(list(folder.glob("checkpoint/stack*"))) == 2 > len(killed):
            killed.extend(multiprocessing.active_children())
            os.kill(killed[-1].pid, signal.SIGKILL)

    with pytest.raises(RunError) as caught:
        begun(tensors, folder, report=report)
    said = str(caught.value)
    assert "of 2 was killed by SIGKILL, as when memory runs out; go on with: hepdann train" in said
    assert any("6 networks (source-only, dann, oracle) in 2 processes" in line for line in lines)
    assert not any(child.is_alive() for child in killed)

    stopped = resume(folder, stop=lambda: True)
    assert stopped.metrics["interrupted"]
    assert list(stopped.methods) == ["source-only", "quantile", "dann", "oracle"]
    assert stopped.metrics["throughput"]["members"] == 6
    assert not multiprocessing.active_children()
    same(resume(folder, given={"train.workers": 1}), run)


@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4), workers_=st.integers(1, 9)
)  # fmt: skip
def test_pieces_are_the_members_in_their_order_and_shares_are_equal(sizes, workers_):
    method, numbers = methods.get("dann"), iter(range(100))
    plans = [
        StackPlan(tuple(Member(method, 1.0, next(numbers)) for _ in range(n)), "none")
        for n in sizes
    ]
    shards = cut_into_shards(plans, workers_)
    assert [m for p in shards for m in p.plan.members] == [m for p in plans for m in p.members]
    assert [shard.number for shard in shards] == list(range(len(shards)))


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 3)), min_size=1, max_size=4),
       st.integers(1, 9))  # fmt: skip
def test_shares_are_equal_within_a_member_where_some_cost_more(stacks, workers_):
    """Of images the DANNs take twice as long as source-only's networks."""
    method, numbers = methods.get("dann"), iter(range(100))
    plans = [
        StackPlan(tuple(Member(method, 1.0, next(numbers)) for _ in range(n)), "none", cost)
        for n, cost in stacks
    ]
    shards = cut_into_shards(plans, workers_)
    assert [m for p in shards for m in p.plan.members] == [m for p in plans for m in p.members]
    most = max(cost for _, cost in stacks)
    assert len(shards) <= workers_ + len(stacks) - 1
    share = sum(n * cost for n, cost in stacks) / workers_
    assert all(shard.cost <= share + most for shard in shards)


def test_members_of_a_method_that_trained_apart_stand_together_in_the_model():
    shape = NetworkShape(2, 2, (4,), (3,), (3,), "domain")

    def part(seeds):
        network = AdversarialNetwork(shape, seeds)
        network.collect_statistics(*(torch.randn(len(seeds), 2, 50) + s for s in (0, 1)))
        return Part(shape, network.arrays(), 1, tuple(map(float, seeds)), tuple(seeds))

    one, other = part([4, 5]), part([6])
    both = joined([{"dann": one}, {"dann": other}])["dann"]
    assert (both.seeds, both.lambda_) == ((4, 5, 6), (4.0, 5.0, 6.0))
    x = torch.randn(1, 2, 20)
    apart = torch.cat([p.network.predict(x, 1)[0] for p in (one, other)])
    assert torch.allclose(both.network.predict(x, 1)[0], apart, atol=1e-6)


def make_network(shape):
    raise NotImplementedError


class Still:
    name, by_feature = "still", True
    fit = from_dict = None


def stretch(x, t, generator):
    del generator
    return x * (1 + 1 / t)


def test_what_a_user_registered_reaches_a_worker(monkeypatch):
    def forget():
        for registry in (ALIGNMENTS, METHODS, NETWORKS, SHIFTS):
            monkeypatch.setattr(registry, "_registered", {})

    forget()
    methods.register(Method("mine", "", DANN_PHASES, adversarial=True))
    networks.register("own", make_network)
    alignment.register("still")(Still)
    shifts.register("stretch")(stretch)
    train = TrainConfig(
        methods=["still+mine"], network="own", shift={"name": "stretch+sine", "t": 3}
    )
    shifts.register("elsewhere")(lambda x, t, generator: x)  # would not travel
    sent = ForkingPickler.dumps(Registered.needed(train))
    forget()
    ForkingPickler.loads(sent).register()
    assert networks.get("own") is make_network
    assert SHIFTS["stretch"].map is stretch
    assert alignment.get("still").by_feature
    assert methods.get("mine").phases is DANN_PHASES  # so that it shares their stack


def test_what_has_no_name_cannot_be_sent(tensors, tmp_path, monkeypatch):
    monkeypatch.setattr(NETWORKS, "_registered", {})
    with pytest.raises(RunError, match="cannot be sent to a worker process"):
        begun(tensors, tmp_path / "run", network=lambda _: torch.nn.Linear(2, 2))


def test_a_crowded_machine_is_said_to_be_one(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.1, 0.1, 0.1))
    assert "take --workers 2" in parallel.overload_warning(3)
    assert parallel.overload_warning(2) is None
    monkeypatch.setattr(os, "getloadavg", lambda: (7.2, 7.0, 7.0))
    assert "leave about 1 of 8 cores free" in parallel.overload_warning(2)
    monkeypatch.setattr(os, "getloadavg", lambda: (9.0, 9.0, 9.0))
    assert parallel.overload_warning(0) is None  # all is done in this process


def test_auto_takes_the_free_cores_where_it_pays(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "getloadavg", lambda: (1.0, 1.0, 1.0))  # this program's own
    assert parallel.processes_for("auto", 5, pays=True) == 3
    assert parallel.processes_for("auto", 2, pays=True) == 2
    assert parallel.processes_for("auto", 5, pays=False) == 1
    assert parallel.processes_for(4, 5, pays=False) == 4
    monkeypatch.setattr(os, "getloadavg", lambda: (9.0, 9.0, 9.0))
    assert parallel.processes_for("auto", 5, pays=True) == 1


def test_any_number_of_processes_gives_the_same_bits(tensors, tmp_path, monkeypatch):
    """Stacks, diagnosis and alignments side by side: cores change nothing."""
    monkeypatch.setattr("hepdann.runs.stacks.shards.PAYS", 0)
    given = {"seeds": 4, "epochs": 1, "batch_size": 64, "workers": "auto", "alignments": ["affine"]}
    given["shift"] = shifts.sine(t=3)
    runs, lines = [], []
    for cores in (1, 2):
        monkeypatch.setattr("hepdann.parallel._free_cores", lambda cores=cores: cores)
        report = lambda line, _: lines.append(line)  # noqa: E731
        runs.append(hepdann.train(tensors, output=tmp_path / str(cores), report=report, **given))
        assert any("in 2 processes" in line for line in lines) == (cores == 2)
    same(*runs)


def test_shares_follow_from_the_settings_alone(tensors, monkeypatch):
    """Long trainings are cut into stacks of about eight, whoever trains them."""
    train = Config().train.model_copy(update={"workers": "auto"})
    domains, train = prepare_training(train, hepdann.open_tensors(tensors), None, shifts.sine(t=3))
    assert share_count(train, train, domains) == 1
    monkeypatch.setattr("hepdann.runs.stacks.shards.PAYS", 0)
    assert share_count(train, train, domains) == 2  # 15 networks
    more = train.model_copy(update={"workers": 4})
    assert share_count(more, train, domains) == 4


def test_workers_are_for_processors_alone(tensors, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(HepdannError, match="workers share processors, not a cuda device"):
        begun(tensors, tmp_path / "run", device="cuda")
