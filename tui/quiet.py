"""Keeping what other libraries say from those who run a command.

Progress bars, advice and warnings of third parties are for whoever writes programs with them; what
a user needs to know of them is said by us, in one line.
"""

import atexit
import logging
import os
import sys
import warnings

_SETTINGS = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TRANSFORMERS_VERBOSITY": "critical",
}
LOUD = "COLONY_LOUD"
"""Where this is in the environment, everybody may say what they like."""


def quiet_others() -> None:
    """Quiet the libraries that commands use, before and after they are imported.

    What native code prints when the interpreter ends (lists of leaks, mostly) comes after the last
    line of ours, so from then on nothing is shown. Whoever has set one of these variables wins.
    """
    if LOUD in os.environ:
        return
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    for name in ("transformers", "huggingface_hub", "torch", "peft", "tokenizers", "gguf"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    atexit.register(_end_of_words)


def _end_of_words() -> None:
    """Send what is still printed to stderr nowhere; registered first, so it runs last."""
    try:
        sys.stderr.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):
        pass
