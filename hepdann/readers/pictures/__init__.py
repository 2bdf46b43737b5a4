"""Pictures and their classes, from the files in which data sets of them are passed on."""

from __future__ import annotations

from .convert import convert_pictures
from .files import is_pictures, open_pictures
from .samples import picture_ref, pictures_of
from .source import Pictures

__all__ = [
    "Pictures",
    "convert_pictures",
    "is_pictures",
    "open_pictures",
    "picture_ref",
    "pictures_of",
]
