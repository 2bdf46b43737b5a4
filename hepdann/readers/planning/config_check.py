"""Compare a configuration with the branches of its files; no event is read."""

from __future__ import annotations

from collections.abc import Iterator

from ...config import ConvertConfig, SampleConfig
from ..files import resolve
from ..prescan import scan
from .columns import Columns, compile_columns

__all__ = ["check_sample"]


def check_sample(sample: SampleConfig, convert: ConvertConfig, place: str) -> None:
    """Whether the first file of a sample has the branches that are read of it.

    Args:
        sample: its files are there.
        convert: what is read.
        place: the sample's key, ``samples[0]``.

    Raises:
        ConfigError: names the key, the branch and the file that lacks it.
        ReadError: the file cannot be read, or has no such tree.
    """
    first = resolve(sample.files, where=f"{place}.files")[0]
    (file,) = scan([first], sample.tree or convert.tree)
    if file.kind == "HDF5" or convert.images is not None:
        return  # images are made of datasets and hits, not of columns
    columns = Columns.of(file.branches)
    for key, text in _expressions(sample, convert, place):
        for _, expression in compile_columns(text, None, columns, what=key):
            columns.check(expression, file)


def _expressions(
    sample: SampleConfig, convert: ConvertConfig, place: str
) -> Iterator[tuple[str, str]]:
    """What is read of the events of a sample: key and expression."""
    for number, feature in enumerate(convert.feature_configs() or []):
        yield f"convert.features[{number}]", feature.expression or feature.name
    cut = (f"{place}.cut", sample.cut) if sample.cut else ("convert.cut", convert.cut)
    keys: list[tuple[str, str | None]] = [cut, (f"{place}.weight", sample.weight)]
    if sample.role == "data" and sample.weight is None:
        keys.append(("convert.data_weight", convert.data_weight))
    if sample.role == "mc":
        keys += [(f"convert.spectators[{i}]", text) for i, text in enumerate(convert.spectators)]
        keys += [(f"convert.weights.{name}", text) for name, text in convert.weights.items()]
        if sample.weight is None:
            keys.append(("convert.weight", convert.weight))
        if sample.class_ is None:
            keys.append(("convert.label", convert.label))
    yield from ((key, text) for key, text in keys if text is not None)
