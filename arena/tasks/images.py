"""The images of an item, as a line of a split names them."""

import hashlib
from functools import lru_cache
from pathlib import Path

from arena.errors import TaskError
from arena.tasks.lines import checked_text
from lineage.records import IMAGE_MARK, ImageFile


def images_of(where: str, folder: Path, value: object, texts: str) -> tuple[ImageFile, ...]:
    """The images of an item.

    Args:
        where: file and line, for messages.
        folder: of the task, which paths are relative to.
        value: of `images` in the line.
        texts: all that is asked, in which images may have their places.

    Raises:
        TaskError: a file is missing, or there are more places than images.
    """
    if value is None:
        return ()
    if not isinstance(value, list) or not value:
        raise TaskError(f"{where}: expected 'images' to be a list of paths, got {value!r:.60}")
    names = [checked_text(where, f"images, number {n}", name) for n, name in enumerate(value)]
    try:
        files = tuple(image_file(folder / name) for name in names)
    except TaskError as error:
        raise TaskError(f"{where}: {error}") from None
    places = texts.count(IMAGE_MARK)
    if places not in (0, len(files)):
        raise TaskError(
            f"{where}: {places} {IMAGE_MARK} for {len(files)} images; write one for each, or none"
        )
    return files


def image_file(path: Path) -> ImageFile:
    """An image by its path and the hash of what lies there.

    Raises:
        TaskError: there is no such file.
    """
    try:
        status = path.stat()
        sha256 = _sha256(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise TaskError(f"image {path}: {error.strerror or error}") from None
    return ImageFile(str(path.resolve()), sha256)


@lru_cache(1 << 16)
def _sha256(path: Path, size: int, changed: int) -> str:
    """The hash of a file that has this size and was changed then."""
    del size, changed
    return hashlib.sha256(path.read_bytes()).hexdigest()
