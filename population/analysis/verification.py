"""Verification of an archive: replays recipes and compares the weights with their hashes.

How things are compared:

- **Weights: bit by bit, by fingerprint and by SHA-256, whichever the archive has.** Both run over
  name, dtype, shape and bytes of every tensor in the founders' dtype
  (`population.weights.fingerprint`, `population.models.checkpoints.weights_sha256`), not over a
  file, so they are the same however weights are stored. They are made on the CPU, whatever device a
  campaign scores on: in fp32, in a fixed order, every product and every sum rounded on its own, and
  rounded once to the founders' dtype (fp64, fp32, bf16 or fp16). Nothing in that depends on the
  number of threads, on which siblings are made together, or on the processor, as long as it rounds
  as IEEE 754 says. So a hash that differs is a model that differs, and no tolerance is needed.
- **Scores: not compared.** They come from forward passes, whose sums a library orders as it likes;
  their last bits differ between processors, devices, dtypes and versions of torch.
- **Shares of parents: to 1e-6**, as sums of doubles; the database refuses what is further from 1.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from lineage import Archive, ArchiveError
from lineage.records import Model
from population.campaign.context import Context, Progress, silent
from population.campaign.kept_weights import cache_of, remake
from population.campaign.opening_context import reopen_context
from population.errors import CheckpointError, PopulationError
from population.models.canonical_form import form_with_hash
from population.models.sources import open_source
from population.weights.cache import WeightsCache
from population.weights.fingerprint import checkpoint_fingerprint
from population.weights.identity import is_as_born


@dataclass(frozen=True)
class Damage:
    """Something that is not as it was committed.

    Attributes:
        what: the thing.
        detail: what is wrong.
        repaired: whether it was mended.
    """

    what: str
    detail: str
    repaired: bool = False


@dataclass(frozen=True)
class Findings:
    """The result of a check.

    Attributes:
        founders: how many were checked.
        replayed: offspring whose recipes were replayed.
        offspring: how many there are.
        files: kept weights that were checked.
        damages: what was found.
    """

    founders: int
    replayed: int
    offspring: int
    files: int
    damages: tuple[Damage, ...]

    @property
    def intact(self) -> bool:
        """Whether nothing is damaged any more."""
        return all(damage.repaired for damage in self.damages)


def check(
    archive: Archive,
    sample: int | None = None,
    progress: Progress = silent,
    *,
    repair: bool = False,
) -> Findings:
    """Check founders by hash, rows for consistency, kept weights, and offspring by replay.

    Args:
        archive: what to check.
        sample: replay this many offspring, drawn at random; None replays all.
        progress: called with (done, total, what).
        repair: make damaged weights again from their recipes.
    """
    row_damage = [Damage("row", problem) for problem in archive.inconsistencies()]
    founder_damage = list(_damaged_founders(archive, progress))
    offspring = archive.offspring()
    chosen = offspring if sample is None else sorted(
        random.sample(offspring, min(sample, len(offspring)))
    )  # fmt: skip
    context, replayed, offspring_damage = None, 0, []
    if founder_damage:
        offspring_damage = [
            Damage("offspring", "cannot be replayed before the founders are as they were")
        ]
    else:
        try:
            context = reopen_context(archive)
            offspring_damage = list(_changed_offspring(archive, context, chosen, progress))
            replayed = len(chosen)
        except (ArchiveError, PopulationError) as error:
            offspring_damage = [Damage("offspring", str(error))]
    cache = cache_of(archive)
    file_damage = list(_damaged_files(archive, cache, context if repair else None, progress))
    return Findings(
        len(archive.founder_paths()),
        replayed,
        len(offspring),
        len(cache.files()),
        (*row_damage, *founder_damage, *offspring_damage, *file_damage),
    )


def _damaged_founders(archive: Archive, progress: Progress) -> Iterator[Damage]:
    paths = archive.founder_paths()
    founders, hashes = {one.id: one for one in archive.models(ids=paths)}, archive.founder_hashes()
    for number, (model, path) in enumerate(paths.items()):
        row = founders[model]
        progress(number, len(paths), f"founder {row.label}")
        try:
            form = form_with_hash(open_source(path, row.name), hashes[model])
            if form is None:
                yield Damage(f"founder {row.label}", f"the weights in {path} changed")
            elif row.fingerprint not in (None, checkpoint_fingerprint(form)):
                yield Damage(f"founder {row.label}", "its fingerprint in the archive is another's")
        except CheckpointError as error:
            yield Damage(f"founder {row.label}", str(error))


def _changed_offspring(
    archive: Archive, context: Context, chosen: list[int], progress: Progress
) -> Iterator[Damage]:
    """Offspring whose recipes make other weights than they were born with."""
    maker = context.factory.maker
    size = max(1, min(maker.batch, 32))
    for start in range(0, len(chosen), size):
        progress(start, len(chosen), "replaying recipes")
        batch = archive.models(ids=chosen[start : start + size])
        genomes = archive.genomes([model.id for model in batch])
        for model, state in zip(batch, maker.siblings(list(genomes)), strict=True):
            if not is_as_born(model, state):
                yield Damage(model.label, "its recipe makes other weights than were born")


def _damaged_files(
    archive: Archive, cache: WeightsCache, context: Context | None, progress: Progress
) -> Iterator[Damage]:
    """Kept weights that are not what their names say; remade where there is a context for it."""
    files = cache.files()
    for number, file in enumerate(files):
        progress(number, len(files), "kept weights")
        damage = cache.damage(file.sha256)
        if damage is None:
            continue
        what, detail = f"weights {file.file}", f"the file {damage}"
        owners = archive.with_weights(file.sha256)
        if not owners:
            detail += "; no model of this archive has such weights"
        if context is None:
            yield Damage(what, detail)
            continue
        cache.remove(file.sha256)  # what is damaged must not stay, whether or not it can be remade
        repaired, outcome = _remade(archive, cache, context, file.sha256, owners)
        yield Damage(what, f"{detail}; {outcome}", repaired)


def _remade(
    archive: Archive, cache: WeightsCache, context: Context, sha256: str, owners: list[Model]
) -> tuple[bool, str]:
    """Whether removed weights could be replaced or were not needed, and what was done."""
    if not owners:
        return True, "removed"
    try:
        state = remake(archive, context, owners[0])
        cache.put(sha256, state, archive.keyframes())
    except PopulationError as error:
        return False, f"removed, but not made again: {error}"
    return True, f"made again from the recipe of {owners[0].label}"
