"""Where the weights that are kept beside an archive lie; knows nothing of what is in them."""

from pathlib import Path

SUFFIX = ".safetensors"


def weights_folder(archive: Path) -> Path:
    """The folder of an archive's weights."""
    return archive.with_name(archive.name + ".weights")


def weights_file(archive: Path, sha256: str) -> Path:
    """Where the weights with a hash lie, if they are kept."""
    return weights_folder(archive) / f"{sha256}{SUFFIX}"
