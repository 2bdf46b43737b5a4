"""Maps x ↦ A x + b of all features together, and the closed one between Gaussians."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..tensors.domains import Target
from .base import common_width
from .standard import Standard, covariance

__all__ = ["GaussianTransport", "LinearMap", "conjugate"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearMap:
    """x ↦ A x + b.

    Attributes:
        matrix: (F, F) float64, A.
        offset: (F,) float64, b.
        centre: (F,) float64, what stands in for a missing value in the images of the others.
    """

    matrix: Floats
    offset: Floats
    centre: Floats

    name: ClassVar[str] = "linear"

    def apply(self, x: ArrayLike) -> NDArray[np.float32]:
        """Map target features.

        Args:
            x: (N, F); NaN and infinities pass.

        Returns:
            (N, F) float32.
        """
        given = np.asarray(x, dtype=np.float64)
        finite = np.isfinite(given)
        mapped = np.where(finite, given, self.centre) @ self.matrix.T + self.offset
        return np.where(finite, mapped, given).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Everything :meth:`from_dict` needs, JSON-serialisable."""
        return {
            "map": self.name,
            "matrix": self.matrix.tolist(),
            "offset": self.offset.tolist(),
            "centre": self.centre.tolist(),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The map that :meth:`to_dict` described."""
        return cls(
            *(np.asarray(stored[key], dtype=np.float64) for key in ("matrix", "offset", "centre"))
        )


def conjugate(
    core: Floats, shift: Floats, here: Standard, there: Standard
) -> tuple[Floats, Floats, Floats]:
    """A, b and centre of "standardise, z ↦ core z + shift, give the source's mean and width".

    A feature that has no finite entry on one side is left as it is and stays out of the others;
    one without width on one side is moved, as :class:`Moments` does it.

    Args:
        core: (F, F), between standardised features.
        shift: (F,), likewise.
        here: of the target.
        there: of the source.
    """
    known = ~(np.isnan(here.width) | np.isnan(there.width))
    active = known & (here.width > 0) & (there.width > 0)
    matrix = np.diag(np.ones(len(known)))
    offset = np.where(known, there.mean - here.mean, 0.0)
    rows = np.ix_(active, active)
    inner = core[rows] * there.width[active][:, None] / here.width[active][None, :]
    matrix[rows] = inner
    offset[active] = (
        there.mean[active] + there.width[active] * shift[active] - inner @ here.mean[active]
    )
    return matrix, offset, here.mean.copy()


class GaussianTransport(LinearMap):
    """Optimal transport between Gaussians of the two samples' means and covariances.

    ``A = Σ_t^-½ (Σ_t^½ Σ_s Σ_t^½)^½ Σ_t^-½`` (Dowson and Landau, J. Multivar. Anal. 12 (1982) 450),
    between standardised features, so that it does not depend on their units. A is symmetric there:
    a rotation of the target is undone only up to the rotation that leaves the covariance alone.
    """

    name: ClassVar[str] = "gaussian-ot"
    summary: ClassVar[str] = "optimal transport between Gaussians: means and full covariances"

    @classmethod
    def fit(cls, target: Target, source: Target, *, seed: int = 0) -> Self:
        """Compare means and covariances; no label is read.

        Args:
            target: events to be mapped; all that are given are used.
            source: events whose covariance they shall have (a ``Source`` is a ``Target``).
            seed: of no effect: nothing is random.

        Returns:
            The map. NaN and infinite entries have no part in it.

        Raises:
            SchemaError: the sides have different numbers of features, or weights whose sum is not
                positive.
        """
        del seed
        common_width(target, source)
        here, there = Standard.of(target, "target"), Standard.of(source, "source")
        sides = [
            covariance(side.unit(e.features), np.isfinite(e.features), e.weight)
            for side, e in ((here, target), (there, source))
        ]
        active = (here.width > 0) & (there.width > 0)
        core, rows = np.eye(len(active)), np.ix_(active, active)
        if active.any():
            core[rows] = _transport(sides[0][rows], sides[1][rows])
        return cls(*conjugate(core, np.zeros(len(active)), here, there))


def _transport(target: Floats, source: Floats) -> Floats:
    root, inverse = _power(target, 0.5), _power(target, -0.5)
    return inverse @ _power(root @ source @ root, 0.5) @ inverse


def _power(matrix: Floats, exponent: float) -> Floats:
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    floor = max(float(values.max(initial=0.0)), 1e-300) * 1e-12
    return np.asarray((vectors * np.maximum(values, floor) ** exponent) @ vectors.T)
