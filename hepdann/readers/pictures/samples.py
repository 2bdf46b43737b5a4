"""Which files of a conversion are pictures, and what cannot be said of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...config import ConversionConfig, ConvertConfig, SampleConfig, expand_path
from ...errors import ConfigError, HepdannError
from ..files import FileRef, resolve
from ..planning.input_samples import wanted_samples
from .files import is_pictures

_OF_TABLES = (
    "tree", "features", "spectators", "label", "weight", "data_weight", "cut", "missing",
    "event_id", "lumi_mask", "drop_duplicates", "reweight", "variations",
)  # fmt: skip


def pictures_of(
    mc: Sequence[str], data: Sequence[str], config: ConversionConfig
) -> list[tuple[SampleConfig, list[FileRef]]] | None:
    """The samples of a conversion with their files, MC first, if these are pictures.

    Args:
        mc: files of the command line; with them, the samples of ``config`` are not used.
        data: likewise.
        config: the configuration.

    Returns:
        ``None`` where the first file holds something else.

    Raises:
        ConfigError: settings that pictures do not have.
        ReadError: a file that is not there, or no picture while others are.
    """
    samples = wanted_samples(mc, data, config)
    if not samples or config.convert.images is not None or not _begins(samples[0].files[0]):
        return None
    defaults = ConvertConfig()
    for name in _OF_TABLES:
        if getattr(config.convert, name) != getattr(defaults, name):
            raise ConfigError(
                "is of tables, and the files hold pictures",
                where=f"convert.{name}",
                mend="leave it out",
            )
    out = []
    for sample in samples:
        refs = [ref for pattern in sample.files for ref in picture_refs(pattern, sample.name)]
        for ref in refs:
            if not is_pictures(ref):
                raise ConfigError(
                    "holds no pictures, and the first file does",
                    where=ref.path,
                    mend="convert files of one kind together",
                )
        out.append((sample, refs))
    return out


def picture_ref(text: str) -> FileRef:
    """The file, part of a file or folder that a user names."""
    return picture_refs(text, "truth")[0]


def _begins(pattern: str) -> bool:
    """Whether the first file of a sample holds pictures; a name that is no file is for others."""
    try:
        refs = picture_refs(pattern, "mc")
    except (HepdannError, ValueError, OSError):  # the reader of tables says what is wrong
        return False
    return bool(refs) and is_pictures(refs[0])


def picture_refs(pattern: str, name: str) -> list[FileRef]:
    """The files, parts of files or folders that a pattern of a sample names."""
    path = expand_path(pattern.strip(), where=f"sample '{name}'")
    if path and Path(path).is_dir():
        return [FileRef(path)]
    return list(resolve([pattern], where=f"sample '{name}'"))
