"""What `colony inspect` prints: a row for each checkpoint or, if that does not fit, lines."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lineage.escaping import escaped
from population.merging.preflight import format_size
from tui.cli.lineage_tables import natural_width, safe

if TYPE_CHECKING:
    from population.merging.preflight import Profile


def profiles_view(
    profiles: "Sequence[Profile]",
    parts: Sequence[Mapping[str, int]],
    runs: Sequence[str],
    width: int,
) -> RenderableType:
    """Checkpoints with their shapes and sizes, and whether they fit the first.

    Args:
        profiles: of checkpoints.
        parts: the parameters of each of their parts; empty for models that have none.
        runs: whether a campaign can work with each; empty texts if that was not tried.
        width: of the terminal, in cells.
    """
    table = _table(profiles, runs)
    fits = natural_width(table) <= width and not any(parts)
    return table if fits else _blocks(profiles, parts, runs)


def _table(profiles: "Sequence[Profile]", runs: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("model", overflow="fold")
    table.add_column("type", overflow="fold")
    for head in ("layers", "hidden", "tokens", "params", "size"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("dtype", no_wrap=True)
    for head in ("licence", "fits the first", *(["runs"] if any(runs) else [])):
        table.add_column(head, overflow="fold")
    for profile, said in zip(profiles, runs, strict=True):
        table.add_row(
            safe(profile.name, 500),
            _type(profile),
            *(_or_dash(count) for count in (profile.layers, profile.hidden, profile.vocabulary)),
            _parameters(profile),
            format_size(profile.size),
            escaped(profile.dtype),
            safe(profile.licence or "-"),
            escaped(profile.fits),
            *([escaped(said)] if said else []),
        )
    return table


def _blocks(
    profiles: "Sequence[Profile]", parts: Sequence[Mapping[str, int]], runs: Sequence[str]
) -> Group:
    shown: list[RenderableType] = []
    for profile, own, said in zip(profiles, parts, runs, strict=True):
        counts = (
            f"{_or_dash(profile.layers)} layers, hidden {_or_dash(profile.hidden)}, "
            f"{_or_dash(profile.vocabulary)} tokens"
        )
        weights = f"{_parameters(profile)} parameters, {format_size(profile.size)}"
        lines = (
            f"{_type(profile)}: {counts}",
            f"{weights}, {escaped(profile.dtype)}; licence {safe(profile.licence or '-')}",
            *([_parts(own)] if own else []),
            f"fits the first: {escaped(profile.fits)}",
            *([f"runs: {escaped(said)}"] if said else []),
        )
        shown.append(Text(escaped(profile.name), "bold"))
        shown += [Padding(Text(line), (0, 0, 0, 2), expand=False) for line in lines]
    return Group(*shown)


def _type(profile: "Profile") -> str:
    return escaped(profile.architecture) + (" (tied)" if profile.tied else "")


def _parameters(profile: "Profile") -> str:
    return _millions(profile.parameters)


def _parts(parts: Mapping[str, int]) -> str:
    return ", ".join(f"{escaped(name)} {_millions(count)}" for name, count in parts.items())


def _millions(count: int) -> str:
    return f"{count / 1e6:,.1f} M"


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)
