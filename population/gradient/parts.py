"""Parts of a gradient step: evaluators without a descent of their own help those that have one.

The items of a step are cut into parts, of which each has its own pass forward and back, and the
gradients of the parts are added up in their order. Who has computed a part changes no bit, so a
descent is the same on any number of cores.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Lock

import torch

from lineage.cleanup import afterwards
from population.evaluation.backward_pass import TakeGradient
from population.evaluation.evaluator import Evaluator


class GradientSum:
    """Gradients by weights, added up over parts, for each of the places that a weight has."""

    def __init__(self) -> None:
        self._by_place: dict[tuple[str, int], torch.Tensor] = {}

    def of_a_part(self) -> TakeGradient:
        """Takes the gradients of one part, see `Evaluator.loss`."""
        places = Counter[str]()

        def take(name: str, gradient: torch.Tensor) -> None:
            self._add((name, places[name]), gradient)
            places[name] += 1

        return take

    def add(self, other: "GradientSum") -> None:
        """Add the gradients of another part, which are used up."""
        for place, gradient in other._by_place.items():
            self._add(place, gradient)

    def _add(self, place: tuple[str, int], gradient: torch.Tensor) -> None:
        if place in self._by_place:
            self._by_place[place] += gradient
        else:
            self._by_place[place] = gradient

    def __iter__(self) -> Iterator[tuple[str, torch.Tensor]]:
        """The weights and their gradients, in the order in which they came first."""
        for (name, _), gradient in self._by_place.items():
            yield name, gradient


PassBack = Callable[[Evaluator, TakeGradient], float]
"""Does a part on an evaluator: hands on the gradients of the weights, and gives the loss."""


class StepPart:
    """A part of a step that others may begin before whom it belongs to.

    Args:
        work: what is to be done.
    """

    def __init__(self, work: PassBack) -> None:
        self._work: PassBack | None = work
        self._done: Future[tuple[float, GradientSum]] = Future()

    def help(self, evaluator: Evaluator) -> None:
        """Do it for whom it belongs to, unless that one has begun."""
        if self._work is None or not self._done.set_running_or_notify_cancel():
            return
        gradients = GradientSum()
        try:
            loss = self._work(evaluator, gradients.of_a_part())
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked
            self._done.set_exception(error)
        else:
            self._done.set_result((loss, gradients))

    def finish(self, evaluator: Evaluator, total: GradientSum) -> float:
        """Its loss; its gradients are added. It is done here if nobody has begun."""
        work, unbegun = self._work, self._done.cancel()
        self._work = None  # who has not begun holds no weights
        if unbegun and work is not None:
            return work(evaluator, total.of_a_part())
        loss, gradients = self._done.result()
        total.add(gradients)
        return loss


class Helpers:
    """Evaluators that wait for parts as long as there are descents.

    Args:
        descents: how many there will be.
    """

    def __init__(self, descents: int = 0) -> None:
        self._asked: SimpleQueue[StepPart | None] = SimpleQueue()
        self._descents, self._mutex = descents, Lock()

    def ask(self, work: PassBack) -> StepPart:
        """A part that somebody may begin; it has to be finished."""
        part = StepPart(work)
        self._asked.put(part)
        return part

    def help(self, evaluator: Evaluator) -> None:
        """Do parts for others until there is nobody to help."""
        while (part := self._asked.get()) is not None:
            part.help(evaluator)
            del part  # it holds weights
        self.let_go()  # the next one, too
        evaluator.drop_weights()

    def let_go(self) -> None:
        """Tell those who help that nobody will ask."""
        self._asked.put(None)

    @contextmanager
    def descent(self) -> Iterator[None]:
        """A context that is a descent; at the end of the last one nobody is needed."""
        with afterwards(self._end):
            yield

    def _end(self) -> None:
        with self._mutex:
            self._descents -= 1
        if not self._descents:
            self.let_go()
