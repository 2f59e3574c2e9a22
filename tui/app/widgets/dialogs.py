"""Dialogs on top of pages, which close only once, however fast keys are pressed."""

from contextlib import suppress
from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.command import CommandPalette
from textual.screen import ModalScreen

T = TypeVar("T")


class Dialog(ModalScreen[T]):
    """A dialog on top of a page."""

    def dismiss(self, result: T | None = None) -> AwaitComplete:
        """Close it; if it is closed already, the screen below stays."""
        return super().dismiss(result) if self.is_current else AwaitComplete()


class Palette(CommandPalette):
    """Textual's command palette, for people who type faster than it lists."""

    def dismiss(self, result: None = None) -> AwaitComplete:
        """Close it, once."""
        return super().dismiss(result) if self.is_current else AwaitComplete()

    def _action_command_list(self, action: str) -> None:
        with suppress(KeyError):  # a page of commands that have no place yet
            super()._action_command_list(action)
