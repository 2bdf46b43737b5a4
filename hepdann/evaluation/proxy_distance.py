"""How well a linear classifier distinguishes two samples: the proxy A-distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)


def proxy_distance(source: ArrayLike, target: ArrayLike, seed: int = 0) -> float:
    """Proxy A-distance ``2 (1 - 2 ε)``; 0 where nothing is distinguished, 2 where everything is.

    A linear support vector machine is trained on half of both samples for each of some penalties;
    ε is its smallest error on the other half (Ben-David et al. 2006; Glorot et al. 2011; Ganin et
    al., JMLR 17 (2016) 59, section 5.1.5).

    Args:
        source: (N, F) features; equally many of both samples are used.
        target: (M, F) likewise.
        seed: of the halves.
    """
    from sklearn.svm import LinearSVC

    generator = np.random.default_rng(seed)
    parts = [np.asarray(sample, np.float64) for sample in (source, target)]
    count = min(map(len, parts))
    x = np.concatenate([part[generator.permutation(len(part))[:count]] for part in parts])
    y = np.repeat([0, 1], count)
    x = (x - x.mean(0)) / max(float(x.std()), 1e-12)
    order = generator.permutation(2 * count)
    train, test = order[:count], order[count:]
    errors = []
    for penalty in _PENALTIES:
        machine = LinearSVC(C=penalty, dual=False, tol=1e-3, max_iter=200)
        machine.fit(x[train], y[train])
        errors.append(float(np.mean(machine.predict(x[test]) != y[test])))
    return 2.0 * (1.0 - 2.0 * min(min(errors), 0.5))
