"""Loads a model of an archive, or any checkpoint, into an evaluator of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from lineage import Archive
from population.campaign.context import Progress, silent
from population.campaign.kept_weights import remake
from population.campaign.opening_context import reopen_context
from population.errors import CheckpointError
from population.evaluation.evaluator import Evaluator
from population.models.canonical_form import canonical
from population.models.sources import open_source


@dataclass(frozen=True)
class ReadyModel:
    """A model, ready to be asked.

    Attributes:
        label: what people call it.
        evaluator: with its weights.
        folder: whose config, tokenizer and generation settings are the model's.
    """

    label: str
    evaluator: Evaluator
    folder: Path


def load_model(
    model: str,
    archive: Path | None = None,
    *,
    device: str = "auto",
    dtype: str = "auto",
    batch_tokens: int | None = None,
    progress: Progress = silent,
    say: Callable[[str], None] = lambda _: None,
) -> ReadyModel:
    """Load a model.

    Args:
        model: an id, a founder's name, `champion` or the start of a hash; without an archive, what
            `population.models.sources` opens: a folder, BASE+ADAPTER, a GGUF file.
        archive: where the model is.
        device: a torch device, or "auto".
        dtype: arithmetic of the forward passes, or "auto".
        batch_tokens: tokens in one forward pass at most; None chooses by device.
        progress: called while founders are opened.
        say: called with notes on a checkpoint.

    Raises:
        ArchiveError: there is no such archive, or no such model in it.
        CheckpointError: a founder or the checkpoint is missing or cannot be used.
        PopulationError: there is no such device.
    """
    if archive is None:
        checkpoint = open_source(model, say=say)
        if not checkpoint.config:
            raise CheckpointError(
                f"{model} is a file of weights alone; expected a folder with config and tokenizer"
            )
        plain = canonical(checkpoint)
        label, founder = checkpoint.name, checkpoint
        state = {name: plain.tensor(name) for name in plain.tensors}
    else:
        colony = Archive.open(archive)
        row = colony.find(model)
        context = reopen_context(colony, progress)
        label, founder = f"{row.label} of {archive}", context.founders[0]
        state = remake(colony, context, row)
    evaluator = Evaluator(
        founder.path,
        stored=getattr(torch, founder.dtype.name),
        device=device,
        dtype=dtype,
        batch_tokens=batch_tokens,
    )
    evaluator.load_weights(state)
    return ReadyModel(label, evaluator, founder.path)
