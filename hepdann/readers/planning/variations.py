"""Systematic variations of the features: which expressions they are, and of which tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...config.samples import VariationConfig
from ...errors import ConfigError
from ..files import FileRef
from ..prescan import FileScan, scan, suggest
from .columns import Columns, compile_text
from .features import Feature


@dataclass(frozen=True)
class Variation:
    """The features of MC as a systematic variation has them.

    Attributes:
        tree: of the same file that holds them; ``None`` for the nominal tree.
        features: in the order of the nominal ones.
    """

    tree: str | None
    features: tuple[Feature, ...]


def vary(
    name: str,
    config: VariationConfig,
    features: Sequence[Feature],
    columns: Columns,
    file: FileScan,
) -> Variation:
    """Put the expressions of a variation in the place of the nominal ones.

    Args:
        name: of the variation.
        config: what the user wrote.
        features: the nominal ones.
        columns: what the branches of the nominal tree offer.
        file: the first of the sample.

    Raises:
        ConfigError: no such feature, or an expression that does not fit the branches.
        ReadError: no such tree.
    """
    key = f"convert.variations.{name}"
    known = [feature.name for feature in features]
    unknown = [feature for feature in config.features if feature not in known]
    if unknown:
        mend = suggest(unknown[0], known, what="features")
        raise ConfigError(f"no feature '{unknown[0]}'", where=f"{key}.features", mend=mend)
    if config.tree is not None:
        (file,) = scan([FileRef(file.path, config.tree)])
        columns = Columns.of(file.branches)
    varied = []
    for feature in features:
        if text := config.features.get(feature.name):
            expression = compile_text(text, columns, what=f"feature {feature.name} of {key}")
            feature = replace(feature, expression=expression)
        columns.check(feature.expression, file)
        varied.append(feature)
    return Variation(config.tree, tuple(varied))
