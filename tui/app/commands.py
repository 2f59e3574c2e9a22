"""The command palette: what can be done now, and every model by its id or name."""

import re
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.binding import ActiveBinding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.markup import escape

from tui.shared.styling import heading

if TYPE_CHECKING:
    from tui.app.app import ColonyApp


class Commands(Provider):
    """Palette entries: keys of the page, the list and the app that work now, and models."""

    def _active(self) -> list[ActiveBinding]:
        return [
            active
            for active in self.screen.active_bindings.values()
            if active.enabled and active.binding.description and active.binding.tooltip
        ]

    async def discover(self) -> Hits:
        """All keys that work now."""
        for active in self._active():
            binding = active.binding
            yield DiscoveryHit(
                binding.description, partial(self._run, active), help=binding.tooltip
            )

    async def search(self, query: str) -> Hits:
        """The entries that match what is typed."""
        matcher = self.matcher(query)
        for active in self._active():
            binding = active.binding
            score = matcher.match(f"{binding.description} {binding.tooltip}")
            if score:
                yield Hit(
                    score, matcher.highlight(binding.description), partial(self._run, active),
                    help=binding.tooltip,
                )  # fmt: skip
        async for hit in self._models(query):
            yield hit

    async def _models(self, query: str) -> AsyncIterator[Hit]:
        app = cast("ColonyApp", self.app)
        snapshot = app.snapshot
        if snapshot is None:
            return
        number = re.fullmatch(r"#?(\d{1,9})", query.strip())
        ids = [int(number.group(1))] if number else []
        if query.strip() and "champion".startswith(query.strip()) and snapshot.champion:
            ids.append(snapshot.champion)
        ids += [model for model, name in snapshot.columns.names.items() if query in name]
        for model in dict.fromkeys(ids):
            if snapshot.has(model):
                yield Hit(
                    1.0, heading(f"Open {snapshot.name(model)}"), partial(app.open, model),
                    text=f"Open #{model}",
                    help=escape(
                        f"{snapshot.operator(model)}, generation "
                        f"{snapshot.columns.generation[model]}"
                    ),
                )  # fmt: skip

    async def _run(self, active: ActiveBinding) -> None:
        await self.app.run_action(active.binding.action, active.node)
