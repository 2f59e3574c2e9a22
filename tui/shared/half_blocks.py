"""Images as half blocks: two pixels in a cell, the upper one its colour, the lower one behind.

Every terminal with colours can show them, and so can a recording of one. Pillow, which reads the
files, is an extra: without it, or where a file is gone or changed, there is a reason instead.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from lineage.records import ImageFile
from tui.shared.styling import Piece

UPPER = "\u2580"
HEIGHT = 12
"""Rows of text that an image takes at most."""


def half_blocks(images: Sequence[ImageFile], width: int) -> list[list[Piece]]:
    """Images as rows of coloured half blocks, one below the other, or why they cannot be shown.

    Args:
        images: what to show.
        width: cells that there are.
    """
    rows: list[list[Piece]] = []
    for image in images:
        rows += _rows(image, width) if not (reason := _fault(image)) else [
            [Piece(f"{image.path}: {reason}"[:width], "dim")]
        ]  # fmt: skip
    return rows


def _fault(image: ImageFile) -> str | None:
    """Why an image cannot be shown."""
    try:
        import PIL.Image  # noqa: F401, PLC0415 - an extra
    except ImportError:
        return "pip install 'model-colony[images]' shows it"
    try:
        content = Path(image.path).read_bytes()
    except OSError:
        return "it is not there any more"
    return None if hashlib.sha256(content).hexdigest() == image.sha256 else "it has changed"


def _rows(image: ImageFile, width: int) -> list[list[Piece]]:
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - an extra

    try:
        with Image.open(image.path) as opened:
            pixels = opened.convert("RGB")
    except (UnidentifiedImageError, OSError):
        return [[Piece(f"{image.path}: no image that Pillow reads"[:width], "dim")]]
    pixels.thumbnail((max(1, width), 2 * HEIGHT))
    rows = []
    for top in range(0, pixels.height, 2):
        row = []
        for x in range(pixels.width):
            upper = pixels.getpixel((x, top))
            lower = pixels.getpixel((x, top + 1)) if top + 1 < pixels.height else (0, 0, 0)
            row.append(Piece(UPPER, f"{_hex(upper)} on {_hex(lower)}"))
        rows.append(row)
    return rows


def _hex(colour: object) -> str:
    assert isinstance(colour, tuple)
    return "#{:02x}{:02x}{:02x}".format(*colour)
