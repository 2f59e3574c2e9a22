"""Quiet: what libraries say beside what they do never reaches a user.

Progress bars, advice, warnings of things that a user can do nothing about, and complaints at the
very end of a process. `COLONY_DEBUG=1` in the environment lets all of them speak, and whoever has
set one of the variables below has it as it is set.
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
"""Must be set before the libraries are loaded."""

_hushed, _at_exit = False, False


def quiet() -> None:
    """Let libraries that are loaded from now on keep what they have to say to themselves."""
    global _hushed  # noqa: PLW0603 - there is one process to hush
    if os.environ.get(DEBUG) or _hushed:
        return
    _hushed = True
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if not sys.warnoptions:
        for kind in (UserWarning, FutureWarning, RuntimeWarning, SyntaxWarning):
            warnings.simplefilter("ignore", kind)
    # Without any handler, Python writes the warnings of libraries to stderr.
    logging.getLogger().addHandler(logging.NullHandler())


def hush_at_exit() -> None:
    """Let nobody hear how the interpreter is torn down: DuckDB's bindings count what they leak.

    Call it first: what is registered first is done last, when everything has been said.
    """
    global _at_exit  # noqa: PLW0603 - as above
    if not os.environ.get(DEBUG) and not _at_exit:
        _at_exit = True
        atexit.register(_to_nowhere)


def _to_nowhere() -> None:
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
