"""Opening a tensor file: whether it is one, and what it says that it holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unicodedata import category

import numpy as np

from ..errors import SchemaError
from ..inputs import Stamp, file_stamp, regular_file
from .checks import check_columns, check_datasets
from .filters import check_codec
from .layout import DOMAINS, FORMAT, FORMAT_VERSION, TRUTH, Layout
from .opening import check_stamp, h5_open
from .reader import Tensors
from .sealing import check_seal
from .views import views_of

__all__ = ["open_tensors"]


def open_tensors(path: Tensors | str | Path) -> Tensors:
    """Open a tensor file.

    Args:
        path: a file that ``hepdann convert`` or :class:`TensorWriter` made; what this call gave
            before is given back.

    Raises:
        SchemaError: no such file, not HDF5, not a tensor file, another format version, not
            complete, or datasets that do not fit together.
    """
    if isinstance(path, Tensors):
        return path
    path = regular_file(path, SchemaError, mend="name a file that hepdann convert made")
    if not path.exists():
        raise SchemaError("no such file", where=path, mend="make it with hepdann convert")
    stamp = file_stamp(path)
    try:
        check_seal(path)
        file = h5_open(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SchemaError(f"cannot be opened ({reason})", where=path) from error
    with file:
        try:
            _check_header(path, file.attrs)
            check_codec(str(file.attrs.get("compress", "")), where=path)
            check_datasets(file)
            tensors = _describe(path, file, stamp)
        except (LookupError, ValueError, TypeError, OSError, RuntimeError) as error:
            raise SchemaError(f"is damaged ({error})", where=path, mend="convert again") from error
        check_stamp(file.id.get_vfd_handle(), path, stamp)
    return tensors


def _check_header(path: Path, attrs: Any) -> None:
    if str(attrs.get("format")) != FORMAT:
        raise SchemaError(
            f"is an HDF5 file, but not a tensor file (format {attrs.get('format')!r})", where=path
        )
    version = attrs.get("format_version")
    if version != FORMAT_VERSION:
        raise SchemaError(
            f"has format version {version}, this hepdann reads {FORMAT_VERSION}",
            where=path,
            mend="convert the inputs again",
        )
    if not attrs.get("complete", False):
        raise SchemaError(
            "is not complete, its conversion was cut off", where=path, mend="convert again"
        )


def _describe(path: Path, file: Any, stamp: Stamp | None) -> Tensors:
    from ..config.models import SplitConfig

    domains = [domain for domain in DOMAINS if domain in file]
    if not domains:
        raise ValueError("it holds neither mc nor data")
    features = file[domains[0]]["features"].attrs
    try:
        layout = Layout.make(
            features=_names(features["names"]),
            units=_names(features["units"]),
            feature_info=json.loads(features["info"]),
            spectators=_names(file[domains[0]]["spectators"].attrs["names"]),
            classes=_names(file["mc"].attrs["classes"]) if "mc" in domains else (),
            samples={domain: _names(file[domain]["sample"].attrs["names"]) for domain in domains},
            weights=tuple(file["mc/weights"]) if "mc/weights" in file else (),
            truth=TRUTH in file,
            views=views_of(file, domains[0]),
        )
    except SchemaError as error:
        raise ValueError(error.message) from error
    rows = {domain: len(file[domain]["features"]) for domain in domains}
    check_columns(file, layout, rows)
    impute = np.asarray(features["impute"], dtype=np.float64)
    provenance = json.loads(file.attrs["provenance"])
    if impute.shape != (len(layout.features),) or not np.isfinite(impute).all():
        raise ValueError("impute needs one finite number for each feature")
    if not isinstance(provenance, dict):
        raise ValueError("its provenance is not a JSON object")
    return Tensors(
        path=path,
        classes=layout.classes,
        features=layout.features,
        units=layout.units,
        feature_info=layout.info,
        impute=impute,
        spectators=layout.spectators,
        samples=layout.samples,
        weights=layout.weights,
        views=layout.views,
        provenance=provenance,
        split_config=SplitConfig.model_validate_json(file.attrs["split"]),
        has_truth=layout.truth,
        _rows=rows,
        _stamp=stamp,
    )


def _names(values: Any) -> tuple[str, ...]:
    """Names that can be printed and drawn.

    Raises:
        ValueError: one is not UTF-8, or holds a control character.
    """
    names = tuple(str(value) for value in values)
    for name in names:
        name.encode()
        if any(category(character) == "Cc" for character in name):
            raise ValueError(f"the name {name!a} holds a control character")
    return names
