"""The learned map: an affine one, fitted against a critic of the inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..tensors.hashing import Target
from .base import common_width
from .linear import LinearMap, conjugate
from .standard import Standard, unit_weight

if TYPE_CHECKING:
    from .adversary import AdversaryOptions

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AffineMap:
    """x ↦ A x + b, fitted by an adversary, plus an optional small non-linear part.

    The mean of the maps of several seeds, which end near each other where the two samples fix the
    map and cancel each other's noise.

    Attributes:
        linear: A, b and what stands in for missing values.
        scale: (F,) width of each target feature, in whose units the non-linear part sees it.
        inner: (R, F), U of V tanh(U z + c); R is 0 without the non-linear part.
        bias: (R,), c.
        outer: (F, R), V, in units of the source.
    """

    linear: LinearMap
    scale: Floats
    inner: Floats
    bias: Floats
    outer: Floats

    name: ClassVar[str] = "affine"
    summary: ClassVar[str] = "affine map learned against a critic of the inputs"
    members: ClassVar[int] = 3

    @classmethod
    def fit(
        cls,
        target: Target,
        source: Target,
        *,
        seed: int = 0,
        members: int | None = None,
        options: AdversaryOptions | None = None,
    ) -> Self:
        """Play the games and average the maps; no label is read.

        Args:
            target: as in :meth:`.Kind.fit`; a missing value counts as the mean of its feature.
            source: likewise.
            seed: of the first member.
            members: games, side by side.
            options: of the games; by default those of DESIGN 6.3.
        """
        count = members or cls.members
        seeds = range(seed, seed + count)
        fitted = cls.fit_each(target, source, [source.weight] * count, seeds, options)
        return fitted[0]._mean(fitted[1:])

    @classmethod
    def fit_each(
        cls,
        target: Target,
        source: Target,
        source_weights: Sequence[NDArray[np.floating]],
        seeds: Sequence[int],
        options: AdversaryOptions | None = None,
    ) -> list[Self]:
        """One map a seed, all fitted as one stack, each with weights of its own for the source."""
        from .adversary import AdversaryOptions, fit_stack

        common_width(target, source)
        of_target, of_source = Standard.of(target, "target"), Standard.of(source, "source")
        active = (of_target.width > 0) & (of_source.width > 0)
        stack = fit_stack(
            of_target.unit(target.features)[:, active],
            of_source.unit(source.features)[:, active],
            [unit_weight(target.weight)] * len(seeds),
            [unit_weight(w) for w in source_weights],
            seeds,
            options or AdversaryOptions(),
        )
        width, hidden = len(active), stack.bias.shape[1]
        scale = np.where(of_target.width > 0, of_target.width, 1.0)
        maps = []
        for k in range(len(seeds)):
            core, shift = np.eye(width), np.zeros(width)
            core[np.ix_(active, active)], shift[active] = stack.matrix[k], stack.offset[k]
            inner, outer = np.zeros((hidden, width)), np.zeros((width, hidden))
            inner[:, active] = stack.inner[k]
            outer[active] = stack.outer[k] * of_source.width[active][:, None]
            linear = LinearMap(*conjugate(core, shift, of_target, of_source))
            maps.append(cls(linear, scale, inner, stack.bias[k], outer))
        return maps

    def _mean(self, others: Sequence[Self]) -> Self:
        """The mean of the maps: of A, b, and of what the non-linear parts add."""
        maps = (self, *others)
        linear = LinearMap(
            np.mean([m.linear.matrix for m in maps], axis=0),
            np.mean([m.linear.offset for m in maps], axis=0),
            self.linear.centre,
        )
        return replace(
            self,
            linear=linear,
            inner=np.concatenate([m.inner for m in maps]),
            bias=np.concatenate([m.bias for m in maps]),
            outer=np.concatenate([m.outer for m in maps], axis=1) / len(maps),
        )

    def apply(self, x: ArrayLike) -> NDArray[np.float32]:
        """Map target features (N, F), NaN and infinities passing, to (N, F) float32."""
        mapped = self.linear.apply(x)
        if not len(self.bias):
            return mapped
        given = np.asarray(x, dtype=np.float64)
        finite = np.isfinite(given)
        z = np.where(finite, (given - self.linear.centre) / self.scale, 0.0)
        extra = np.tanh(z @ self.inner.T + self.bias) @ self.outer.T
        return np.where(finite, mapped + extra, mapped).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Everything :meth:`from_dict` needs, JSON-serialisable."""
        stored = {"map": self.name, "linear": self.linear.to_dict(), "scale": self.scale.tolist()}
        if len(self.bias):
            stored["residual"] = {
                key: getattr(self, key).tolist() for key in ("inner", "bias", "outer")
            }
        return stored

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The map that :meth:`to_dict` described."""
        scale = np.asarray(stored["scale"], dtype=np.float64)
        width = len(scale)
        extra = stored.get("residual") or {}
        return cls(
            LinearMap.from_dict(stored["linear"]),
            scale,
            np.asarray(extra.get("inner", []), dtype=np.float64).reshape(-1, width),
            np.asarray(extra.get("bias", []), dtype=np.float64),
            np.asarray(extra.get("outer", []), dtype=np.float64).reshape(width, -1),
        )
