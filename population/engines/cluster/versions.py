"""What has to be the same on all nodes: other code or other libraries would make other models."""

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("model-colony", "ray", "torch", "transformers", "tokenizers", "numpy", "numba")


@cache
def versions() -> Mapping[str, str]:
    """The versions of Python, of the libraries that compute, and of this project's code."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    return {**found, "the code of colony": _code()}


def _code() -> str:
    """A digest of the packages that a worker runs."""
    root, digest = Path(__file__).resolve().parents[3], hashlib.sha256()
    for package in ("arena", "lineage", "population"):
        for path in sorted((root / package).rglob("*.py")):
            digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def difference(here: Mapping[str, str], there: Mapping[str, str]) -> str:
    """The first version that differs, in words; empty if none does.

    >>> difference({"torch": "2.4"}, {"torch": "2.5"})
    'torch is 2.4, and 2.5 where the campaign runs'
    """
    for name, wanted in there.items():
        if here.get(name) != wanted:
            return f"{name} is {here.get(name)}, and {wanted} where the campaign runs"
    return ""
