"""The versions of the project and its libraries, found without loading them."""

import platform
from importlib.metadata import PackageNotFoundError, version

LIBRARIES = ("torch", "transformers", "duckdb", "textual")
"""Libraries whose versions a bug report should name."""


def versions() -> str:
    """`colony X.Y.Z`, then Python and the libraries that matter most."""
    lines = [f"python {platform.python_version()}"]
    lines += [f"{name} {version}" for name in LIBRARIES if (version := _version(name))]
    return f"colony {_version('model-colony') or 'of a checkout'}\n{', '.join(lines)}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
