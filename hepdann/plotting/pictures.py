"""Figures of a run on pictures: those that it takes for another class."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from ..stats.classification import as_scores, predicted
from ..store.scores.reader import Domain
from .axes.styles import method_title
from .figures.pictures import Misclassified, misclassified
from .jobs import Job, file_name
from .quantities import Quantities

_FIGURES = ("brightness_", "contrast_")  # what is kept of pictures in place of features
_SHOWN = 16


def misclassified_jobs(run: Quantities) -> Iterator[Job]:
    """The pictures that each method gets wrong; none of a run on features or on hits."""
    if not all(name.startswith(_FIGURES) for name in run.scores.features or [""]):
        return
    for domain, where in run.labelled:
        for method in run.methods(None, domain):
            title = f"{method_title(method)}, {where}"
            yield Job(
                "misclassified",
                file_name("misclassified", domain, method),
                partial(_wrong, run, domain, method),
                partial(misclassified, names=run.class_names, title=title),
                domain == "mc" or run.is_simulation,
            )


def _wrong(run: Quantities, domain: Domain, method: str) -> Misclassified | None:
    """What a method gets wrong in the test split, that which it was surest of first."""
    test = np.flatnonzero(run.test[domain])
    score = as_scores(run.scores.score(domain, method)[test])
    true, given = run.truth(domain)[test].astype(np.intp), predicted(score)
    sure = np.where(given == true, -1.0, score.max(axis=1))
    wrong = int((given != true).sum())
    most = np.argsort(-sure, kind="stable")[: min(wrong, _SHOWN)]
    if not wrong:
        return None
    place = run.scores.tensor_rows(domain)
    if [view.pictures for view in place.tensors.views] != [True]:
        return None
    rows = place.rows[test[most]]
    order = np.argsort(rows)  # files are read from their beginning to their end
    (images,) = place.tensors.read_views(place.domain, rows[order]).values()
    pixels = np.rint(255 * images[np.argsort(order)]).astype(np.uint8)
    return Misclassified(
        images=pixels[:, 0] if pixels.shape[1] == 1 else pixels.transpose(0, 2, 3, 1),
        true=true[most],
        given=given[most],
        score=sure[most],
        wrong=wrong,
        events=len(test),
    )
