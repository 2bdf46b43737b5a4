"""Affine maps in closed form: of each feature, and of all together between Gaussians."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..tensors.source_and_target import Target
from .base import ArrayMap, Standard, both_sides, covariance

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearMap(ArrayMap):
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
        """Map target features (N, F), NaN and infinities passing, to (N, F) float32."""
        given = np.asarray(x, dtype=np.float64)
        finite = np.isfinite(given)
        mapped = np.where(finite, given, self.centre) @ self.matrix.T + self.offset
        return np.where(finite, mapped, given).astype(np.float32)


def conjugate(
    core: Floats, shift: Floats, of_target: Standard, of_source: Standard
) -> tuple[Floats, Floats, Floats]:
    """A, b and centre of "standardise, z ↦ core z + shift, give the source's mean and width".

    ``core`` (F, F) and ``shift`` (F,) act between standardised features. A feature that has no
    finite entry on one side is left as it is and stays out of the others; one without width on one
    side is moved, as :class:`Moments` does it.
    """
    known = ~(np.isnan(of_target.width) | np.isnan(of_source.width))
    active = known & (of_target.width > 0) & (of_source.width > 0)
    matrix = np.diag(np.ones(len(known)))
    offset = np.where(known, of_source.mean - of_target.mean, 0.0)
    rows = np.ix_(active, active)
    mean, width = of_source.mean[active], of_source.width[active]
    inner = core[rows] * width[:, None] / of_target.width[active][None, :]
    matrix[rows] = inner
    offset[active] = mean + width * shift[active] - inner @ of_target.mean[active]
    return matrix, offset, of_target.mean.copy()


@dataclass(frozen=True, eq=False)
class Moments(ArrayMap):
    """x ↦ factor · x + offset, per feature: the target gets the source's mean and width.

    At the inputs this is what adaptive batch normalisation does (Li et al., 2016): standardise each
    domain by its own statistics.

    Attributes:
        factor: (F,) float64, σ_source / σ_target; 1 where a width is not positive.
        offset: (F,) float64, what brings the mean of the target to that of the source; 0 of a
            feature without finite entries on one side.
    """

    name: ClassVar[str] = "moments"
    by_feature: ClassVar[bool] = True

    factor: Floats
    offset: Floats

    @classmethod
    def fit(cls, target: Target, source: Target, *, seed: int = 0) -> Self:
        """Compare weighted means and standard deviations, see :meth:`.Kind.fit`."""
        del seed
        of_target, of_source, active = both_sides(target, source)
        core, still = np.eye(len(active)), np.zeros(len(active))
        matrix, offset, _ = conjugate(core, still, of_target, of_source)
        return cls(np.diag(matrix).copy(), offset)

    def apply(self, x: ArrayLike) -> NDArray[np.float32]:
        """Map target features (N, F), NaN passing, to (N, F) float32."""
        return (np.asarray(x, dtype=np.float64) * self.factor + self.offset).astype(np.float32)


class GaussianTransport(LinearMap):
    """Optimal transport between Gaussians of the two samples' means and covariances.

    ``A = Σ_t^-½ (Σ_t^½ Σ_s Σ_t^½)^½ Σ_t^-½`` (Dowson and Landau, J. Multivar. Anal. 12 (1982) 450),
    between standardised features, so that it does not depend on their units. A is symmetric there:
    a rotation of the target is undone only up to the rotation that leaves the covariance alone.
    """

    name: ClassVar[str] = "gaussian-ot"

    @classmethod
    def fit(cls, target: Target, source: Target, *, seed: int = 0) -> Self:
        """Compare means and covariances of finite entries, see :meth:`.Kind.fit`."""
        del seed
        of_target, of_source, active = both_sides(target, source)
        core, rows = np.eye(len(active)), np.ix_(active, active)
        if active.any():
            first, second = (
                covariance(side.unit(e.features), np.isfinite(e.features), e.weight)[rows]
                for side, e in ((of_target, target), (of_source, source))
            )
            root, inverse = _power(first, 0.5), _power(first, -0.5)
            core[rows] = inverse @ _power(root @ second @ root, 0.5) @ inverse
        return cls(*conjugate(core, np.zeros(len(active)), of_target, of_source))


def _power(matrix: Floats, exponent: float) -> Floats:
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    floor = max(float(values.max(initial=0.0)), 1e-300) * 1e-12
    return np.asarray((vectors * np.maximum(values, floor) ** exponent) @ vectors.T)
