"""The harness as a library: loaded when it is needed, and quiet."""

import importlib
import logging
from types import ModuleType

from population.errors import PopulationError

EXTRA = "pip install 'model-colony[lm-eval]'"
"""What installs it."""


def harness(module: str, why: str) -> ModuleType:
    """A module of lm-evaluation-harness.

    Args:
        module: its name, such as `lm_eval.api.task`.
        why: what it is needed for, for the message.

    Raises:
        PopulationError: the library is not installed, or lacks something; says what installs it.
    """
    try:
        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        return importlib.import_module(module)
    except ImportError as error:
        lacking = error.name or str(error)
        raise PopulationError(
            f"{why} needs lm-evaluation-harness ({lacking} is not installed): {EXTRA}"
        ) from None
