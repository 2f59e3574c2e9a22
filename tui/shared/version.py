"""Which version of what this is; nothing is loaded to find out."""

import platform
from importlib.metadata import PackageNotFoundError, version

BESIDE = ("torch", "transformers", "duckdb", "textual")
"""What a report of a fault should name."""


def versions() -> str:
    """`colony X.Y.Z`, then Python and the libraries that matter most."""
    lines = [f"python {platform.python_version()}"]
    lines += [f"{name} {version}" for name in BESIDE if (version := _version(name))]
    return f"colony {_version('model-colony') or 'of a checkout'}\n{', '.join(lines)}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
