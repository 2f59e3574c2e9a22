"""Errors of this package. Every message is one clear line for the user."""


class PopulationError(Exception):
    """The base of what this package raises for users to read."""


class ConfigError(PopulationError):
    """A configuration is wrong; the message names the file, the key and what was expected."""


class CheckpointError(PopulationError):
    """A checkpoint cannot be a founder; the message says what was expected and what was found."""


class RecipeError(PopulationError):
    """A recipe cannot be made into weights; the message says which part of it and why."""


class CampaignError(PopulationError):
    """A campaign cannot start or go on."""


class Interrupted(PopulationError):  # noqa: N818 - it is no error, somebody asked for it
    """The user asked to stop.

    Attributes:
        then: how to go on, as a sentence; may be empty.
    """

    def __init__(self, kept: str = "everything committed is safe", then: str = "") -> None:
        super().__init__(f"stopped; {kept}" + (f". {then}" if then else ""))
        self.then = then
