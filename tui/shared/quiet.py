"""Silences the output of libraries: progress bars, advice, warnings, complaints at the end.

`COLONY_DEBUG=1` in the environment leaves all of it on, and each of the variables below that is
set already stays as it is.
"""

import atexit
import logging
import os
import sys
import warnings
from contextlib import suppress

DEBUG = "COLONY_DEBUG"

SETTINGS = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # of downloads, and of transformers reading shards
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_VERBOSITY": "error",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TOKENIZERS_PARALLELISM": "false",  # its advice on forking; texts are short here
    "TQDM_DISABLE": "1",  # the bars of reading GGUF files
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    "BITSANDBYTES_NOWELCOME": "1",
}
"""Environment variables that must be set before the libraries are loaded."""

_silenced, _at_exit = False, False


def quiet() -> None:
    """Silence libraries that are loaded from now on."""
    global _silenced  # noqa: PLW0603 - a state of the process
    if os.environ.get(DEBUG) or _silenced:
        return
    _silenced = True
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if not sys.warnoptions:
        for kind in (UserWarning, FutureWarning, RuntimeWarning, SyntaxWarning):
            warnings.simplefilter("ignore", kind)
    # Without any handler, Python writes the warnings of libraries to stderr.
    logging.getLogger().addHandler(logging.NullHandler())


def silence_at_exit() -> None:
    """Drop what libraries write while the interpreter ends: DuckDB's bindings count what they leak.

    Call it first: what is registered first is done last, after all other output.
    """
    global _at_exit  # noqa: PLW0603 - as above
    if not os.environ.get(DEBUG) and not _at_exit:
        _at_exit = True
        atexit.register(_discard_stderr)


def _discard_stderr() -> None:
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
