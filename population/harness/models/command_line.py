"""Runs the harness's own command line, with `colony` among its models.

Releases after 0.4.13 find the model by the entry point `lm_eval.models` in this project's
metadata. Until then the harness knows only models in its own source, so it is registered here.
"""

import json
import sys
from collections.abc import Mapping, Sequence

from arena.errors import TaskError
from lineage.errors import ArchiveError
from population.errors import PopulationError
from population.harness.library import harness

MODEL = "colony"
TARGET = "population.harness.models.colony_lm:ColonyLM"


def register() -> None:
    """Let the harness know the model `colony`.

    Raises:
        PopulationError: the harness is not installed.
    """
    why = "colony lm-eval"
    harness("lm_eval.models", why)
    registry = harness("lm_eval.api.registry", why).model_registry
    if MODEL not in registry:
        registry.register(MODEL, target=TARGET)


def evaluate_model(settings: Mapping[str, str], arguments: Sequence[str]) -> None:
    """Run `lm_eval` on a model of colony.

    Args:
        settings: of the model, see `population.harness.models.colony_lm.ColonyLM`.
        arguments: of `lm_eval`; its `--model_args` are added to the settings.

    Raises:
        PopulationError: the harness is not installed, or refuses what it was asked; or the model
            cannot be had.
    """
    register()
    own = ["--model", MODEL, "--model_args", json.dumps(settings)]
    sys.argv = ["lm_eval", "run", *own, *arguments]
    command_line = harness("lm_eval.__main__", "colony lm-eval")
    try:
        command_line.cli_evaluate()
    except (ArchiveError, TaskError, PopulationError, OSError, MemoryError):
        raise
    except Exception as error:
        # Tasks, their data and metrics are others' code, and may raise anything.
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise PopulationError(f"lm-evaluation-harness: {lines[0]}") from error
