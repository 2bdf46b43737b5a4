"""Every method in a stack: members on their own, λ = 0, a resume."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from hepdann import methods
from hepdann.networks import NetworkShape
from hepdann.training import Member, StackTrainer, load_checkpoint, save_checkpoint

MOVED = ("x", "x_statistics")
METHODS = [methods.get(name) for name in methods.names()]


def trainer_of(domains, settings, method, lambdas=(1.0, 0.3, 0.0), only=None, **changes):
    """A stack of one method whose hybrid members draw from different copies."""
    dtype = changes.pop("dtype", torch.float64)
    _, _, _, sources, targets = domains(dtype=dtype)
    further = torch.randn(sources[0].n_train, 2, dtype=dtype, generator=torch.manual_seed(0))
    sources = [dataclasses.replace(s, nuisance=torch.cat([s.weight[:, None], further], 1))
               for s in sources]  # fmt: skip
    copies = [
        dataclasses.replace(sources[0], **{key: getattr(sources[0], key) * f + f for key in MOVED})
        for f in (0.8, 1.1, 1.4)
    ]
    chosen = ((1, 2), (2, 3), (3, 1)) if method.auxiliary else ((),) * 3
    members = [
        Member(method, lambda_, seed, auxiliaries=auxiliaries)
        for lambda_, seed, auxiliaries in zip(lambdas, (3, 5, 8), chosen, strict=True)
    ]
    shape = NetworkShape(
        4,
        2,
        (10, 8),
        (6,),
        (7,),
        changes.pop("normalisation", method.normalisation),
        domains=4 if method.auxiliary else 2,
        domain_classes=4 if changes.pop("per_domain", False) else 2,
        conditioned=method.conditioned,
        nuisances=(0, 0) if method.nuisance_head else (),
        nuisance_head=(5,) if method.nuisance_head else (),
    )
    taken = members if only is None else [members[only]]
    return StackTrainer(
        taken, shape, [*sources, *copies], targets, settings(epochs=2, dtype=dtype, **changes)
    )


def parameters(trainer, k, part=""):
    named = trainer.network.named_parameters()
    return torch.cat([p.detach()[k].reshape(-1) for name, p in named if name.startswith(part)])


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_a_member_is_trained_as_if_it_were_alone(domains, settings, method):
    stack = trainer_of(domains, settings, method)
    stack.run()
    alone = trainer_of(domains, settings, method, only=1)
    before = parameters(alone, 0).clone()
    alone.run()
    assert torch.allclose(parameters(stack, 1), parameters(alone, 0), rtol=0, atol=1e-9)
    assert not torch.allclose(before, parameters(alone, 0), atol=1e-3)


BESIDE_TORCH = [(name, "torch") for name in ("dann", "dann-joint", "cdan", "mmd", "coral")]


@pytest.mark.parametrize(("name", "engine"), [("dann", "auto"), *BESIDE_TORCH])
def test_lambda_zero_is_source_only_to_the_bit(domains, settings, name, engine):
    """The extractor and the label head; what the domain head sees is the method's own affair."""
    given = {"lambdas": (0.0, 0.5, 0.0), "normalisation": "domain", "dtype": torch.float32}
    given["engine"] = engine
    method = trainer_of(domains, settings, methods.get(name), **given)
    plain = trainer_of(domains, settings, methods.get("source-only"), **given)
    method.run()
    plain.run()
    for part in ("extractor", "label_head"):
        for k in (0, 2):
            assert torch.equal(parameters(method, k, part), parameters(plain, k, part))
        assert not torch.equal(parameters(method, 1, part), parameters(plain, 1, part))


RESUMED = [(name, per_domain) for name in ("hybrid-dann", "hybrid-alternating")
           for per_domain in (False, True)]  # fmt: skip
RESUMED += [(name, False) for name in ("pivot", "pivot-alternating", "dann-pivot", "disco")]


@pytest.mark.parametrize(("name", "per_domain"), RESUMED)
def test_a_method_resumes_to_the_same_bits(domains, settings, tmp_path, name, per_domain):
    given = {"dtype": torch.float32, "per_domain": per_domain, "adversary_steps": 3}
    whole = trainer_of(domains, settings, methods.get(name), **given)
    whole.run()
    first = trainer_of(domains, settings, methods.get(name), **given)
    steps, path = iter(range(13)), tmp_path / "stack.safetensors"
    first.run(save=lambda t: save_checkpoint(t, path, "x"), stop=lambda: next(steps, None) is None)
    second = trainer_of(domains, settings, methods.get(name), **given)
    assert load_checkpoint(second, path, "x")
    second.run()
    assert all(torch.equal(parameters(whole, k), parameters(second, k)) for k in range(3))
    assert all(0 <= row["domain_accuracy"] <= 1 for row in whole.history)
    watched = methods.get(name).nuisance_head
    assert all(("loss_nuisance" in row) == watched for row in whole.history)


def test_each_copy_has_normalisation_statistics_of_its_own(domains, settings):
    one = trainer_of(domains, settings, methods.get("hybrid-dann"))
    assert [slot.chosen for slot in one.slots[1:3]] == [(1, 2, 3), (2, 3, 1)]
    one.run()
    with one.averaged() as network:
        norm = network.extractor.norm[0]
        assert norm.mean.shape == (4, 3, 10)
        rows = [norm.mean[d] for d in range(4)]
        assert not any(torch.allclose(a, b) for a in rows for b in rows if a is not b)


def test_the_classifier_waits_for_the_steps_of_its_adversary(domains, settings):
    """Of 20 steps at K = 7 two move the classifier; the adversary moves in each."""
    still = trainer_of(
        domains, settings, methods.get("pivot-alternating"), ema=0, adversary_steps=100
    )
    before = {part: parameters(still, 0, part).clone() for part in still.network.parts}
    still.run()
    assert torch.equal(before["extractor"], parameters(still, 0, "extractor"))
    assert not torch.equal(before["nuisance_head"], parameters(still, 0, "nuisance_head"))
    moving = trainer_of(
        domains, settings, methods.get("pivot-alternating"), ema=0, adversary_steps=7
    )
    moving.run()
    assert not torch.equal(before["extractor"], parameters(moving, 0, "extractor"))
    losses = [float(row["loss_label"]) for row in moving.history]
    assert all(0.3 < loss < 3 for loss in losses)  # a mean over all steps, not over some
