"""The networks that trainers hold, as parts of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch

from ...domains import Domains, object_shapes, view_shapes
from ...inference import InputColumns, Model, prior_corrected
from ...inference.steps import Part, network_of
from ...training import StackTrainer
from ..aligned import Aligned
from ..calibrated import Calibrated


def model_of(
    trainers: Sequence[StackTrainer],
    domains: Domains,
    aligned: Aligned,
    calibrated: Mapping[str, Calibrated],
) -> Model:
    """The model of a run or of a fold of it."""
    columns, images = InputColumns.of(domains.tensors), domains.images
    return Model(
        domains.tensors.features,
        domains.tensors.classes,
        domains.scaling if images is None else images.scaling or domains.scaling,
        aligned.maps,
        joined(map(parts_of, trainers)),
        mixtures=prior_corrected(aligned.correction),
        correction=aligned.correction,
        views=() if images is None else view_shapes(images.views),
        objects=object_shapes(domains.tensors.objects),
        missing=columns.missing,
        indicators=columns.indicators,
        calibrations={name: one.calibration for name, one in calibrated.items()},
    )


def parts_of(trainer: StackTrainer) -> dict[str, Part]:
    """The methods of a stack, with the averaged weights of each member's chosen epoch."""
    with trainer.chosen() as trained:
        state = {key: value.detach().cpu().clone() for key, value in trained.state_dict().items()}
    parts = {}
    for name in dict.fromkeys(m.label for m in trainer.members):
        chosen = [k for k, m in enumerate(trainer.members) if m.label == name]
        members = [trainer.members[k] for k in chosen]
        member_state = {
            key: value[:, chosen] if _member_axis(key) else value[chosen]
            for key, value in state.items()
        }
        seeds = tuple(m.seed for m in members)
        parts[name] = Part(
            network_of(trainer.network.shape, seeds, member_state),
            members[0].method.target_domain,
            tuple(float(trainer.lambda_[k]) for k in chosen),
            seeds,
        )
    return parts


def joined(shards: Iterable[dict[str, Part]]) -> dict[str, Part]:
    """The methods of several trainers; where two have members of one, these stand together."""
    parts: dict[str, Part] = {}
    for name, part in (pair for shard in shards for pair in shard.items()):
        parts[name] = _together(parts[name], part) if name in parts else part
    return parts


def _together(one: Part, other: Part) -> Part:
    seeds, before = (*one.seeds, *other.seeds), one.network.state_dict()
    state = {
        key: torch.cat([before[key], value], dim=_member_axis(key))
        for key, value in other.network.state_dict().items()
    }
    network = network_of(one.network.shape, seeds, state)
    return Part(network, one.target_domain, (*one.lambda_, *other.lambda_), seeds)


def _member_axis(key: str) -> int:
    """Statistics are (domain, member, feature), everything else (member, …)."""
    return int(key.endswith((".mean", ".variance")))
