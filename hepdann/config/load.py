"""A configuration as the user wrote it, read, checked, and written again with every default."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from ..errors import ConfigError
from ..inputs import regular_file
from .report import config_error
from .samples import ConversionConfig
from .section import proposal

if TYPE_CHECKING:
    from .document import Lines
    from .models import Config

Kind = TypeVar("Kind", bound=ConversionConfig)
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))")


def shipped_configs() -> dict[str, Path]:
    """The configurations that come with the package, by bare name."""
    spec = importlib.util.find_spec("hepdann_configs")
    folders = (spec and spec.submodule_search_locations) or []
    return {p.stem: p for folder in folders for p in sorted(Path(folder).glob("*.yaml"))}


def expand_path(path: str, *, where: object = None) -> str:
    """Put environment variables (``${NAME}``, ``$NAME``) and a leading ``~`` into a path.

    Args:
        path: as a user wrote it.
        where: the key it comes from, for the error.

    Raises:
        ConfigError: a variable that is not set, or is empty.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        text = os.environ.get(name, "")
        if not text:
            raise ConfigError(
                f"the environment variable {name} is not set",
                where=where or path,
                mend=f"set it to a folder: export {name}=/path/to/data",
            )
        return text

    # backslashes of a value are text here, because a function gives the replacement
    return os.path.expanduser(_VARIABLE.sub(value, path))  # noqa: PTH111 (keeps root:// as it is)


def _merge(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Set dotted keys in nested dictionaries; ``None`` means that a flag was not given."""
    for dotted, value in changes.items():
        if value is None:
            continue
        *sections, key = dotted.split(".")
        mapping = values
        for depth, section in enumerate(sections, start=1):
            if mapping.get(section) is None:
                mapping[section] = {}
            mapping = mapping[section]
            if not isinstance(mapping, dict):
                raise ConfigError("has no keys below it", where=".".join(sections[:depth]))
        mapping[key] = value.model_dump(by_alias=True) if isinstance(value, BaseModel) else value


def _validate(
    kind: type[Kind], values: Any, *, source: str | None, lines: Lines, known_names: bool
) -> Kind:
    try:
        return kind.model_validate(values, context={"known_names": known_names})
    except ValidationError as error:
        raise config_error(error, kind, source=source, lines=lines) from None


def parse_config(
    text: str,
    source: str = "<text>",
    *,
    changes: Mapping[str, Any] | None = None,
    known_names: bool = True,
) -> Config:
    """Read a configuration from YAML text; see :func:`load_config`."""
    from .document import parse
    from .models import Config

    values, lines = parse(text, source)
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"expected sections ({', '.join(Config.model_fields)}), got {type(values).__name__}",
            where=source,
        )
    # a section whose lines are all commented out is a section left at its defaults
    values = {key: value for key, value in values.items() if value is not None}
    _merge(values, changes or {})
    return _validate(Config, values, source=source, lines=lines, known_names=known_names)


def load_config(
    path: str | Path,
    *,
    changes: Mapping[str, Any] | None = None,
    known_names: bool = True,
) -> Config:
    """Read a YAML configuration; environment variables in paths expand where files are opened.

    Args:
        path: a file, or the bare name of a shipped configuration (``aleph``, ``htautau``).
        changes: settings that override the file's before anything is checked, by dotted key
            (``{"train.lambda": 0.3}``); ``None`` marks a flag that was not given.
        known_names: refuse shifts and methods that nobody registered. Turned off to look at a run
            whose shift lives in a script of the user's.

    Raises:
        ConfigError: no such file, not YAML, a key that is unknown or appears twice, a value of
            the wrong type, settings that contradict each other. It names file, line and key, and
            all other wrong keys of the file.
    """
    from .document import LARGEST

    file_path = regular_file(_find(path), ConfigError, mend="name a YAML file")
    try:
        with file_path.open(encoding="utf-8-sig") as file:
            text = file.read(LARGEST + 1)  # a larger one is refused, and not read
    except UnicodeDecodeError as error:
        raise ConfigError("not a text file in UTF-8", where=file_path) from error
    except OSError as error:
        raise ConfigError(error.strerror or str(error), where=file_path) from error
    return parse_config(text, str(path), changes=changes, known_names=known_names)


def _find(path: str | Path) -> Path:
    candidate = Path(path)
    if candidate.is_file():
        return candidate
    shipped = shipped_configs()
    name = str(path).removesuffix(".yaml")
    if name in shipped:  # beside a folder of that name too, such as one of simulated files
        return shipped[name]
    if candidate.exists():
        return candidate
    mend = proposal(name, shipped, f"shipped are {', '.join(shipped)}")
    raise ConfigError("no such file, and no shipped configuration", where=path, mend=mend)


def override(config: Kind, changes: Mapping[str, Any], *, known_names: bool = True) -> Kind:
    """The configuration with some settings changed, checked as a file would be.

    Args:
        config: left as it is.
        changes: new values by dotted key, ``{"train.lambda": 0.3, "train.shift.name": "sine"}``;
            ``None`` marks a flag that was not given and changes nothing.
        known_names: as in :func:`load_config`.

    Raises:
        ConfigError: as :func:`load_config`, with the dotted key.
    """
    values = config.model_dump(by_alias=True)
    _merge(values, changes)
    return _validate(type(config), values, source=None, lines={}, known_names=known_names)


def dump_config(config: Config) -> str:
    """The configuration as YAML, every value written out; ``parse_config`` reads it back."""
    from .document import dump

    return dump(config.model_dump(mode="json", by_alias=True))


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a configuration file."""
    from .models import Config

    schema = Config.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "hepdann configuration",
    }
