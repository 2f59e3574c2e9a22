"""What a campaign is doing, to say on Ctrl-C what is kept and what is lost."""

from dataclasses import dataclass, field

from lineage import Archive
from lineage.archive.unfinished import Effort


@dataclass
class Activity:
    """The generation in flight.

    Attributes:
        making: how much of it is done, in words; None between two generations.
        closing: whether generation 0 is complete but for its arena round.
        earlier: what earlier processes spent on generation 0.
        spent_before: item evaluations of the generations before it.
    """

    making: str | None = None
    closing: bool = False
    earlier: Effort = field(default_factory=Effort)
    spent_before: int = 0

    def account(self, archive: Archive, dropped: int) -> str:
        """A sentence on what is kept and what is lost of a campaign that is stopped now.

        Args:
            archive: of the campaign.
            dropped: models that evaluators were working on.
        """
        history = archive.generations()
        if history:
            last = history[-1].generation
            kept = "generation 0 is kept" if last == 0 else f"generations 0 to {last} are kept"
            if self.making is None:
                return f"{kept}, and nothing was in flight"
            return f"{kept}; what was done of generation {last + 1} is lost"
        if self.making is None:
            return "of generation 0 nothing was made yet"
        lost = f"{dropped} in flight are lost"
        if self.closing:
            lost = "what the arena had done is lost"
        return f"generation 0: {self.making} are kept; {lost}"
