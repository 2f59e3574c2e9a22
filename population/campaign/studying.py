"""A study: the champion learns the labels of an epoch, and joins the founders as what it became.

Merging stays within what the founders' task vectors span. A study goes beyond: the champion takes
gradient steps on all its weights, on the labels that the colony made without any key
(`population.campaign.labelling`), and what comes of it is one more founder, whose difference from
the base is one more task vector that recipes combine.

Self-training may make a model forget. So whoever studied is scored on the panel that the living are
compared on, and joins only if no task suffered.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from lineage import Archive
from lineage.archive.newcomers import NewFounder
from lineage.archive.studies import record_study
from lineage.merit import merit
from lineage.records import Floats, Founder, Item, Scores, Study
from lineage.storage.atomic_file import whole_folder
from lineage.storage.locations import BESIDE, folder_beside
from population.campaign.context import Context, Progress
from population.campaign.joining import joined_context, open_newcomer
from population.campaign.session import Session
from population.campaign.state import PopulationState
from population.config.sections import StudySettings
from population.errors import PopulationError
from population.evaluation.backward_pass import COST
from population.evaluation.intervals import scores_by_task
from population.evaluation.pool import EvaluatorPool
from population.gradient.descent import sampler_of
from population.gradient.fine_tuning import PARTS, FineTuning, fine_tuned
from population.merging.companions import CONFIG, GENERATION
from population.merging.writer import copy_files
from population.models.checkpoints import Checkpoint
from population.models.tokenizer_files import TOKENIZER_FILES
from population.randomness import generator
from population.weights.materialise import State


def is_due(settings: StudySettings, generation: int) -> bool:
    """Whether a generation is one that a study follows."""
    return bool(settings.every) and generation > 0 and generation % settings.every == 0


def cost_of_study(settings: StudySettings, panel: int) -> int:
    """Item evaluations that a study takes at most.

    Args:
        settings: steps and items.
        panel: items that who studied is scored on.
    """
    return COST * settings.steps * settings.items + panel


def study(
    archive: Archive, session: Session, population: PopulationState, progress: Progress
) -> Context:
    """Let the champion study, and what it became join the founders if it forgot nothing.

    Args:
        archive: of the campaign; who joins is recorded there, or why nobody did.
        session: the parts of the campaign.
        population: as the last commit left it.
        progress: called while it studies; may raise to stop, and then nothing has happened.

    Returns:
        The context to go on with: with another founder, or the same as before.

    Raises:
        PopulationError: the checkpoint cannot be written.
    """
    context, settings = session.context, session.context.config.study
    generation, epoch = population.generation, population.epoch
    lessons = session.items.teaching(generation)
    weights = _learned(context, population, lessons, archive.campaign()[0], progress)
    folder = folder_beside(archive.path.resolve()) / f"study-{generation}"
    _write(context.founders[0], weights, folder)
    newcomer, sha256 = open_newcomer(archive, str(folder))
    joined = joined_context(context, newcomer, sha256)
    model = archive.newest_id() + 1
    panel = session.items.panel(epoch)
    scored = joined.score(
        [joined.genome_of_founder(len(context.founders))],
        panel.answered.for_each([model]),
        progress,
        f"scoring {newcomer.name}",
    )
    champion = population.ids.index(population.champion.id)
    before = merit(population.exact[champion], population.probability[champion])
    after = merit(scored.exact[0], scored.probability[0])
    pupil = population.champion
    wall_s, forward_s, cpu_s, evaluations = session.clock.read()
    record = Study(
        model=model,
        pupil=pupil.id,
        generation=generation,
        epoch=epoch,
        items=len(lessons),
        steps=settings.steps,
        evaluations=evaluations + len(panel.items),
        wall_s=wall_s,
        forward_s=forward_s,
        cpu_s=cpu_s,
        tokens=session.clock.tokens,
    )
    if forgotten := _forgotten(before, after, panel.items, settings.forgets):
        shutil.rmtree(folder, ignore_errors=True)
        words = (
            f"{pupil.label} studied and forgot {', '.join(forgotten)}: what it became is dropped"
        )
        record_study(archive, record, None, words)
        return context
    tasks = len({item.task for item in lessons})
    words = (
        f"#{model} is {pupil.label} after a study of {len(lessons):,} labels of {tasks} tasks: "
        f"{before.mean():.3f} before, {after.mean():.3f} now on the panel"
    )
    newcomer_row = NewFounder(
        Founder(
            newcomer.name,
            f"{BESIDE}{folder.name}",
            sha256,
            joined.hashes.stored_fingerprints[-1],
        ),
        Scores((model,), tuple(i.id for i in panel.items), scored.exact, scored.probability),
        0,
    )
    record_study(archive, record, newcomer_row, words)
    return joined


def _learned(
    context: Context,
    population: PopulationState,
    lessons: Sequence[Item],
    seed: int,
    progress: Progress,
) -> State:
    """The champion's weights after a study, in fp32."""
    settings = context.config.study
    row = population.ids.index(population.champion.id)
    (state,) = context.factory.maker.siblings([population.breeding.members.genomes[row]])
    pool = EvaluatorPool(
        context.evaluator.clone("float32"), context.config.run.threads, evaluators=PARTS
    )
    return fine_tuned(
        pool,
        state,
        sampler_of(lessons, settings.items, context.weights),
        FineTuning(settings.steps, settings.rate),
        int(generator(seed, "study", population.generation).integers(1 << 31)),
        lambda done: progress(done, settings.steps, "study"),
    )


def _forgotten(before: Floats, after: Floats, items: Sequence[Item], most: float) -> list[str]:
    """The tasks on which scores fell by more than `most`, on average over items."""
    names = [item.task for item in items]
    then, now = (scores_by_task(scores, names) for scores in (before, after))
    return [name for name in then if float(np.mean(then[name]) - np.mean(now[name])) > most]


def _write(like: Checkpoint, weights: State, folder: Path) -> None:
    """Write a checkpoint in the dtypes of another one, with its config and tokenizer.

    Raises:
        PopulationError: it cannot be written.
    """
    try:
        shutil.rmtree(folder, ignore_errors=True)  # of a campaign that was killed before its commit
        with whole_folder(folder) as draft:
            stored = {
                name: tensor.to(getattr(torch, like.tensors[name].dtype.name)).contiguous()
                for name, tensor in weights.items()
            }
            save_file(stored, draft / "model.safetensors", metadata={"format": "pt"})
            copy_files(like.path, draft, (CONFIG, GENERATION, *TOKENIZER_FILES))
    except OSError as error:
        raise PopulationError(f"cannot write {folder}: {error.strerror or error}") from None
