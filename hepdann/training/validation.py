"""What each epoch shows of a stack: label-side figures of the source, domain figures of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..domains.event_stream import DomainEvents
from ..networks import AdversarialNetwork
from ..stats import expected_accuracy

if TYPE_CHECKING:
    from .trainer import Member

_TINY = 1e-7


def _mean(values: Tensor, weight: Tensor) -> float:
    """``Σ w v / Σ w``; NaN where the weights do not add up to more than 0."""
    total = weight.sum()
    return float((values * weight).sum() / total) if float(total) > 0 else float("nan")


def validate(
    network: AdversarialNetwork,
    members: Sequence[Member],
    sources: Sequence[DomainEvents],
    targets: Sequence[DomainEvents],
) -> list[dict[str, float]]:
    """Figures of the validation splits; the source's labels are used, the target has none.

    Returns:
        One dictionary a member: validation_loss, validation_accuracy, validation_loss_domain,
        validation_domain_accuracy; of images target_expected_accuracy.
    """
    on_source = {
        i: network.predict(sources[i].x_validation.unsqueeze(0), 0)
        for i in dict.fromkeys(m.source for m in members)
    }
    on_target = [network.predict(t.x_validation.unsqueeze(0), 1) for t in targets]
    rows = []
    for k, member in enumerate(members):
        source, target = sources[member.source], targets[member.target]
        p, d_source = (tensor[k] for tensor in on_source[member.source])
        d_target = on_target[member.target][1][k]
        assert source.label_validation is not None
        weight = source.weight_validation
        loss, hit = _label_figures(p, source.label_validation)
        domain_loss = 0.5 * (
            _mean(-torch.log((1 - d_source).clamp(min=_TINY)), weight)
            + _mean(-torch.log(d_target.clamp(min=_TINY)), target.weight_validation)
        )
        recognised = 0.5 * (
            float((d_source <= 0.5).to(p.dtype).mean()) + float((d_target > 0.5).to(p.dtype).mean())
        )
        rows.append(
            {
                "validation_loss": _mean(loss, weight),
                "validation_accuracy": _mean(hit, weight),
                "validation_loss_domain": domain_loss,
                "validation_domain_accuracy": recognised,
            }
        )
        if source.images and p.shape[1] > 1:
            scores, label = on_target[member.target][0][k].cpu(), source.label_validation.cpu()
            rows[-1]["target_expected_accuracy"] = expected_accuracy(scores, p.cpu(), label).value
    return rows


def _label_figures(scores: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Loss of each event, and whether it is classified rightly; NaN in a regression."""
    if scores.shape[1] == 1:
        error = scores[:, 0] - label
        return error.square(), torch.full_like(error, torch.nan)
    right = scores.gather(1, label.unsqueeze(1)).squeeze(1)
    return -torch.log(right.clamp(min=_TINY)), (scores.argmax(1) == label).to(scores.dtype)


def watched_scores(
    network: AdversarialNetwork, members: Sequence[Member], targets: Sequence[DomainEvents]
) -> list[NDArray[np.float32]]:
    """Each member's (n, C) scores of the target events that an observer is shown."""
    statistics = torch.tensor([m.method.target_domain for m in members])
    scores = [
        network.classify(t.x_watched.unsqueeze(0), statistics).float().cpu().numpy()
        for t in targets
    ]
    return [scores[member.target][k] for k, member in enumerate(members)]
