"""Paths of the weights that are kept beside an archive."""

from pathlib import Path

SUFFIX = ".safetensors"


def weights_folder(archive: Path) -> Path:
    """The folder of an archive's weights.

    >>> weights_folder(Path("my.duckdb")).name
    'my.duckdb.weights'
    """
    return archive.with_name(archive.name + ".weights")


def weights_file(archive: Path, sha256: str) -> Path:
    """The path for weights with a hash, whether they are kept or not."""
    return weights_folder(archive) / f"{sha256}{SUFFIX}"
