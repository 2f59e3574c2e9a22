"""Steps: a task that nobody can do at once, done by asking one thing after the other.

Who can reverse a text and who can write capitals can write a reversed text in capitals together.
A colony without keys labels the items of such a task by asking each step of whoever is surest of
it, and then learns to answer at once (`population.campaign.studying`). Decomposing what is too hard
and learning from the composed answers is iterated amplification (Christiano et al. 2018, arXiv
1810.08575); here a task's description says how to decompose.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import regex

from arena.errors import TaskError
from arena.tasks.extractors.expression import LONGEST, PATIENCE_S

_NAME = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True)
class AnswerSteps:
    r"""What is asked one after the other to answer an item.

    Attributes:
        prompts: a prompt for each step, in which `{prompt}` is the item's own, `{answer}` what
            was answered to the step before, and other names are groups of `reads`.
        reads: a regular expression with named groups that takes a prompt apart, or None.

    >>> steps = AnswerSteps(("rev:{text}=", "cap:{answer}="), r"rev\.cap:(?P<text>\w+)=")
    >>> steps.prompt("rev.cap:abc=", []), steps.prompt("rev.cap:abc=", ["cba"])
    ('rev:abc=', 'cap:cba=')
    """

    prompts: tuple[str, ...]
    reads: str | None = None

    def __post_init__(self) -> None:
        """Check that every name in a prompt has a value.

        Raises:
            TaskError: one has none, or `reads` is no regular expression.
        """
        try:
            groups = set(regex.compile(self.reads or "").groupindex)
        except (regex.error, RecursionError, OverflowError) as error:
            raise TaskError(f"'reads' is no regular expression: {error}") from None
        for number, prompt in enumerate(self.prompts):
            known = {"prompt", *groups} | ({"answer"} if number else set())
            if unknown := [name for name in _NAME.findall(prompt) if name not in known]:
                raise TaskError(
                    f"step {number + 1} of 'steps' has no value for {{{unknown[0]}}}; "
                    f"there are {', '.join(sorted(known))}"
                )

    def prompt(self, asked: str, answers: Sequence[str]) -> str | None:
        """The prompt of the next step.

        Args:
            asked: the item's prompt.
            answers: to the steps before.

        Returns:
            None where `reads` does not match, or the item's prompt cannot be read in time.
        """
        values = {"prompt": asked, **({"answer": answers[-1]} if answers else {})}
        if self.reads is not None:
            try:
                match = regex.search(self.reads, asked[:LONGEST], timeout=PATIENCE_S)
            except TimeoutError:
                match = None
            if match is None:
                return None
            values |= {name: found or "" for name, found in match.groupdict().items()}
        return _NAME.sub(lambda name: values[name[1]], self.prompts[len(answers)])
