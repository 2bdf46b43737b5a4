"""The type of the header of ``model.safetensors``."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from ..records import Finite

__all__ = ["LAMBDA_KEYS", "ModelHeader", "least_weights", "stored_maps"]


LAMBDA_KEYS = ("lambda", "strength")  # the second one in models of older versions


class StoredScaling(BaseModel):
    """Of the features."""

    model_config = ConfigDict(strict=True)

    impute: list[Finite]
    mean: list[Finite]
    std: list[Annotated[Finite, Field(gt=0)]]


class StoredMethod(BaseModel):
    """The networks of a method."""

    model_config = ConfigDict(strict=True)

    shape: dict[str, Any]
    target_domain: Literal[0, 1]
    lambda_: list[Finite] = Field(validation_alias=AliasChoices(*LAMBDA_KEYS))
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=1 << 63)]], Field(min_length=1)]


class StoredMixture(BaseModel):
    """A prediction that is made of others."""

    model_config = ConfigDict(strict=True)

    parts: Annotated[list[str], Field(min_length=1)]
    offsets: list[list[Finite]]
    weights: list[Annotated[Finite, Field(gt=0)]] = []


class ModelHeader(BaseModel):
    """The header of ``model.safetensors``."""

    model_config = ConfigDict(strict=True)

    features: list[str]
    classes: Annotated[list[str], Field(min_length=1)]
    scaling: StoredScaling
    alignments: dict[str, dict[str, Any]] = {}
    methods: dict[str, StoredMethod]
    mixtures: dict[str, StoredMixture] = {}
    correction: list[Finite] | None = None
    views: list[Annotated[tuple[str, int, int, int], Field(strict=False)]] = []


def stored_maps(header: dict[str, Any]) -> dict[str, Any]:
    """The alignments; a model of an earlier day holds one."""
    maps: dict[str, Any] = (
        header["alignments"] if "alignments" in header else {"quantile": header["quantile"]}
    )
    return maps


def least_weights(shape: dict[str, Any]) -> int:
    """Weights that a network has at least: those between the hidden layers of its parts."""
    parts = [shape.get(name, ()) for name in ("extractor", "label_head", "domain_head")]
    if shape.get("network"):
        parts = parts[1:]  # another one's
    products = [a * b for widths in parts for a, b in itertools.pairwise(widths)]
    return int(sum(products) + sum(map(sum, parts)))
