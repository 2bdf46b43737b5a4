"""What a conversion without a configuration may have got wrong, and how to say it right."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ...config import ConversionConfig
from ...tensors import Tensors
from ...tensors.hdf5.chunks import h5_open
from ..pipeline.summary import FeatureStats
from .columns import words_of
from .plan import Plan

_SCORE_WORDS = re.compile(
    r"(d|g|p|r|c)?nn\w*|bdt\w*|mva\w*|xgb\w*|score\w*|disc|discr|discriminant|discriminator|prob"
    r"|proba|probability|logit\w*|classifier|tagger"
)
_AUC = 0.9  # of one feature in [0, 1] alone: rarely measured, but what a classifier gives
_EVENTS = 20_000  # on which the AUC is computed
_PIECES = 20  # of the file that these come from


def doubts(
    plan: Plan, config: ConversionConfig, stats: Sequence[FeatureStats], tensors: Tensors
) -> tuple[str, ...]:
    """A line for each branch that was probably meant for something else.

    Args:
        plan: of the conversion.
        config: as the user gave it; features that are listed there are no matter of doubt.
        stats: of the features in MC.
        tensors: what was written.
    """
    return (*_scores(plan, config, stats, tensors), *_weights(plan))


def _scores(
    plan: Plan, config: ConversionConfig, stats: Sequence[FeatureStats], tensors: Tensors
) -> Iterator[str]:
    if config.convert.features is not None or not plan.features:
        return
    binary = "mc" in tensors.domains and len(tensors.classes) == 2
    sample = _sample(tensors) if binary else None
    for one in stats:
        named = any(_SCORE_WORDS.fullmatch(word) for word in words_of(one.name))
        auc = 0.0
        if sample is not None and one.minimum >= 0 and one.maximum <= 1:
            auc = _auc(sample[0][:, tensors.features.index(one.name)], sample[1] == 1)
        if named or auc > _AUC:
            why = f" (alone it has an AUC of {auc:.2f})" if auc > _AUC else ""
            yield (
                f"'{one.name}' looks like the output of another classifier{why}, and is an input; "
                f"if it is one, keep it out: --spectators {one.name}"
            )


def _weights(plan: Plan) -> Iterator[str]:
    """The branches that look like weights, where MC has none."""
    mc = [sample for sample in plan.samples if sample.source.domain == "mc"]
    names = [branch.name for branch in plan.left_out if branch.reason.startswith("looks like a we")]
    if names and mc and all(sample.weight is None for sample in mc):
        verb = "looks like an event weight" if len(names) == 1 else "look like event weights"
        named = ", ".join(f"'{name}'" for name in names[:5]) + (", …" if len(names) > 5 else "")
        yield (
            f"{named} {verb}, and every MC event counts 1; if it is the weight, "
            f"use it: --weight {names[0]}"
        )


def _sample(tensors: Tensors) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Features and labels of some MC events, from all of the file: samples come in turn."""
    rows = tensors.rows("mc")
    piece = _EVENTS // _PIECES
    starts = np.linspace(0, max(rows - piece, 0), _PIECES).astype(int)
    places = [slice(start, start + piece) for start in dict.fromkeys(starts.tolist())]
    with h5_open(tensors.path) as file:
        features, label = file["mc/features"], file["mc/label"]
        return (
            np.concatenate([features[place] for place in places]),
            np.concatenate([label[place] for place in places]),
        )


def _auc(values: NDArray[np.float32], signal: NDArray[np.bool_]) -> float:
    """AUC of a feature, whichever way it points; missing values are left out."""
    known = np.isfinite(values)
    _, place, counts = np.unique(values[known], return_inverse=True, return_counts=True)
    of_signal = np.bincount(place, signal[known], minlength=len(counts))
    rest = counts - of_signal
    pairs = of_signal.sum() * rest.sum()
    if not pairs:
        return 0.0
    below = np.cumsum(rest) - rest
    auc = float(of_signal @ (below + rest / 2) / pairs)
    return max(auc, 1 - auc)
