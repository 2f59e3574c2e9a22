"""Opens the context of a campaign: founders checked against each other, or against an archive."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from lineage import Archive
from lineage.records import Founder
from population.campaign.context import Context, Progress, silent
from population.config import Config, parse_config
from population.errors import CampaignError, CheckpointError, ConfigError
from population.evolution.extensions import Extensions
from population.families import family_of
from population.models.blocks import Layout, layout_of
from population.models.canonical_form import form_with_hash, with_equal_tensors
from population.models.checked_hashes import ReadProgress, checked_sha256
from population.models.checkpoints import Checkpoint
from population.models.compatibility import check_compatible
from population.models.grafts import frame_among, in_frame, part_that_merges
from population.models.near_copies import near_copies
from population.models.sources import open_source
from population.weights.fingerprint import checkpoint_fingerprint
from population.weights.genomes import Basis
from population.weights.identity import FounderHashes


def open_context(
    config: Config,
    progress: Progress = silent,
    say: Callable[[str], None] = lambda _: None,
    extensions: Extensions | None = None,
) -> Context:
    """Open and check the founders of a configuration.

    Args:
        config: with paths resolved.
        progress: called while it is opened.
        say: called with notes about the founders.
        extensions: operators, survival rules and judges from outside the project.

    Raises:
        CheckpointError: a founder is missing, broken, or does not fit the others.
        ConfigError: two founders share a name, or the base is not among them.
    """
    founders = []
    for number, path in enumerate(config.founders.paths):
        progress(number, len(config.founders.paths), f"opening {Path(path).name}")
        founders.append(open_source(path, say=say))
    names = [founder.name for founder in founders]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"[founders] two folders are named {twice[0]!r}; rename one")
    if config.founders.base is not None and config.founders.base not in names:
        raise ConfigError(
            f"[founders] base: no founder is named {config.founders.base!r}; "
            f"there are {', '.join(names)}"
        )
    if len(founders) < 2:
        raise ConfigError("[founders] a colony needs at least two founders")
    base = None if config.founders.base is None else names.index(config.founders.base)
    founders = with_equal_tensors(_in_one_frame(founders, base, say))
    check_compatible(founders)
    sha256 = tuple(
        checked_sha256(founder, _reading(progress, f"checking {founder.name}"))
        for founder in founders
    )
    for line in near_copies(
        founders, base, lambda done, total: progress(done, total, "comparing the founders")
    ):
        say(f"note: {line}")
    basis, layout = Basis(tuple(names), base), _layout(config, founders)
    hashes = FounderHashes(sha256, tuple(checkpoint_fingerprint(founder) for founder in founders))
    return Context(config, founders, basis, layout, hashes, extensions)


def reopen_context(
    archive: Archive, progress: Progress = silent, extensions: Extensions | None = None
) -> Context:
    """Open the context that an archive was started with, and make sure it is the same.

    Args:
        archive: of the campaign.
        progress: called while it is opened.
        extensions: as given when the campaign was started.

    Raises:
        CheckpointError: a founder has vanished or has other weights than it had.
        CampaignError: the blocks are cut differently by this version of colony.
    """
    _, content = archive.campaign()
    config = parse_config(content, str(archive.path))
    paths = archive.founder_paths()
    models = {model.id: model for model in archive.models(ids=paths)}
    sha256 = archive.founder_hashes()
    founders = []
    for number, (model, path) in enumerate(paths.items()):
        row = models[model]
        progress(number, len(paths), f"opening {row.label}")
        hashed = partial(checked_sha256, progress=_reading(progress, f"checking {row.label}"))
        founder = form_with_hash(open_source(path, row.name), sha256[model], hashed)
        if founder is None:
            raise CheckpointError(
                f"founder {row.label!r} at {path} has other weights than when this archive was "
                "started; put the original back"
            )
        founders.append(founder)
    names = tuple(founder.name for founder in founders)
    base = None if config.founders.base is None else names.index(config.founders.base)
    layout = _layout(config, founders)
    if list(layout.blocks) != archive.blocks():
        raise CampaignError(
            f"{archive.path} was bred on other blocks than this version of colony cuts"
        )
    hashes = founder_hashes(archive)
    return Context(config, founders, Basis(names, base), layout, hashes, extensions)


def founder_hashes(archive: Archive) -> FounderHashes:
    """The hashes of an archive's founders."""
    founders = archive.models(ids=archive.founder_paths())
    fingerprints = tuple(one.fingerprint for one in founders if one.fingerprint is not None)
    return FounderHashes(
        tuple(archive.founder_hashes().values()),
        fingerprints if len(fingerprints) == len(founders) else None,
    )


def _reading(progress: Progress, what: str) -> ReadProgress:
    """Progress in bytes, reported in megabytes."""
    return lambda done, total: progress(done // 10**6, total // 10**6, f"{what}, MB")


def _layout(config: Config, founders: Sequence[Checkpoint]) -> Layout:
    return layout_of(
        {name: header.shape for name, header in founders[0].tensors.items()},
        founders[0].config,
        config.search.blocks,
        config.search.groups,
        part=part_that_merges(founders),
    )


def _in_one_frame(
    founders: Sequence[Checkpoint], base: int | None, say: Callable[[str], None]
) -> list[Checkpoint]:
    """Founders with one tower and projector: those of the base, or of the first that has them."""
    frame = frame_among(founders, base)
    if frame is None:
        return list(founders)
    framed = [in_frame(frame, founder) for founder in founders]
    changed = any(one is not founder for one, founder in zip(framed, founders, strict=True))
    seeing = [
        founder.name
        for one, founder in zip(framed, founders, strict=True)
        if one is not founder and family_of(founder.config).composed
    ]
    if changed:
        say(
            f"note: offspring merge the {family_of(frame.config).merged}; what sees stays that of "
            f"{frame.name!r}"
        )
    if seeing:
        say(f"note: {', '.join(map(repr, seeing))} will see with it, and not with their own")
    return framed


def found_archive(path: Path, context: Context) -> Archive:
    """Start an archive with the founders of a context."""
    hashes = context.hashes
    founders = [
        Founder(founder.name, founder.reference, sha256, fingerprint)
        for founder, sha256, fingerprint in zip(
            context.founders, hashes.sha256, hashes.stored_fingerprints, strict=True
        )
    ]
    return Archive.create(
        path,
        seed=context.config.run.seed,
        config=context.config.model_dump(mode="json"),
        founders=founders,
        basis=context.factory.basis.vectors,
        blocks=context.factory.layout.blocks,
    )
