"""Checks a checkpoint that is to join the founders, and makes the context that it is in.

Nothing here loads torch before somebody joins.
"""

from typing import TYPE_CHECKING

from lineage import Archive
from population.errors import CheckpointError
from population.models.canonical_form import form_like, form_with_hash
from population.models.checkpoints import Checkpoint
from population.models.compatibility import check_compatible
from population.models.grafts import frame_among, in_frame
from population.models.sources import open_source

if TYPE_CHECKING:
    from population.campaign.context import Context


def open_newcomer(archive: Archive, reference: str) -> tuple[Checkpoint, str]:
    """Open a checkpoint that is to join the founders, and the hash of its weights.

    Args:
        archive: of the colony.
        reference: a folder, a hub id, or BASE+ADAPTER; see `population.models.sources`.

    Raises:
        CheckpointError: it is missing or broken, does not fit the founders, has the name of one,
            or is one.
    """
    newcomer = open_source(reference)
    paths = archive.founder_paths()
    founders, hashes = archive.models(ids=paths), archive.founder_hashes()
    if newcomer.name in [founder.name for founder in founders]:
        raise CheckpointError(
            f"a founder is named {newcomer.name!r} already; rename the folder of the new one"
        )
    first = open_source(paths[founders[0].id], founders[0].name)
    first = form_with_hash(first, hashes[founders[0].id]) or first
    frame = frame_among([first])
    newcomer = form_like(first, newcomer if frame is None else in_frame(frame, newcomer))
    check_compatible([first, newcomer])
    newcomer.check_finite()
    sha256 = newcomer.sha256()
    twins = [founder.label for founder in founders if hashes[founder.id] == sha256]
    if twins:
        raise CheckpointError(f"{newcomer.name!r} has the weights of the founder {twins[0]!r}")
    return newcomer, sha256


def joined_context(context: "Context", newcomer: Checkpoint, sha256: str) -> "Context":
    """The context with one more founder, the last one.

    Everybody's recipe stays as it is, with nothing of the newcomer in it, so all make the same bits
    as before. What depends on who the founders are is made anew.

    Args:
        context: without it.
        newcomer: by `open_newcomer`.
        sha256: of its weights.
    """
    from population.campaign.context import Context  # noqa: PLC0415 - torch
    from population.weights.genomes import Basis  # noqa: PLC0415

    before = context.factory
    return Context(
        context.config,
        (*before.founders, newcomer),
        Basis((*before.basis.founders, newcomer.name), before.basis.base),
        before.layout,
        context.hashes.joined(newcomer, sha256),
        context.components.extensions,
    )
