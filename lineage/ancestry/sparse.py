"""All ancestry of an archive as one sparse matrix: questions about a million models in a blink.

`lineage.ancestry.graph` answers the same questions with a networkx graph; it is the reference, and
tests compare the two. A graph of a million models takes networkx ten seconds and a gigabyte, so
large archives are asked here.

Ids are row numbers. Row c of the matrix holds the shares of c's parents, and since ids grow with
birth it is strictly lower triangular: who descends from whom is a breadth-first search, and how
much of whom is in everybody is one pass from the oldest to the youngest.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order

from lineage.ancestry.coefficients import inbreeding, inbreedings, relationships
from lineage.ancestry.parent_edges import Ids, ParentEdges
from lineage.records import Floats


class SparseAncestry:
    """`lineage.ancestry.ancestry.Ancestry`, answered by sparse arrays.

    Args:
        pedigree: all parent edges of an archive.
    """

    def __init__(self, pedigree: ParentEdges) -> None:
        self.newest = newest = pedigree.newest
        self.founders = pedigree.founders
        starts = np.zeros(newest + 2, dtype=np.int32)
        np.cumsum(np.bincount(pedigree.child, minlength=newest + 1), out=starts[1:])
        links = pedigree.share, pedigree.parent.astype(np.int32, copy=False), starts
        self._parents = csr_array(links, shape=(newest + 1, newest + 1))

    @cached_property
    def _children(self) -> csr_array:
        return self._parents.T.tocsr()

    @cached_property
    def births(self) -> Ids:
        """How many children each model has, by id: shape (newest + 1,)."""
        return np.asarray(np.diff(self._children.indptr))

    def parents(self, model: int) -> dict[int, float]:
        """A model's parents and their shares."""
        start, end = self._parents.indptr[model : model + 2]
        ids, shares = self._parents.indices[start:end], self._parents.data[start:end]
        return dict(zip(ids.tolist(), shares.tolist(), strict=True))

    def ancestors(self, model: int, depth: int | None = None) -> Ids:
        """Everyone it descends from, ascending; only so many generations back if asked."""
        return _reached(self._parents, model, depth)

    def descendants(self, model: int, depth: int | None = None) -> Ids:
        """Everyone who descends from it, ascending; only so many generations on if asked."""
        return _reached(self._children, model, depth)

    def steps_up(self, model: int) -> dict[int, int]:
        """How many generations back the nearest way to each ancestor is; 0 to the model itself."""
        return _distances(self._parents, model)[1]

    def common_ancestors(self, a: int, b: int) -> Ids:
        """Whom both descend from, ascending; a model counts as its own ancestor here.

        So the common ancestors of a mother and her child are the mother and her ancestors.
        """
        ours = np.append(self.ancestors(a), a)
        theirs = np.append(self.ancestors(b), b)
        return np.intersect1d(ours, theirs)

    def path(self, a: int, b: int) -> list[int] | None:
        """The shortest way from a to b: up to a common ancestor, then down; None if unrelated.

        Of equally short ways the one through the youngest common ancestor is taken.
        """
        up, far_up = _distances(self._parents, a)
        down, far_down = _distances(self._parents, b)
        met = [node for node in far_up if node in far_down]
        if not met:
            return None
        top = min(met, key=lambda node: (far_up[node] + far_down[node], -node))
        rise, fall = [top], [top]
        while rise[-1] != a:
            rise.append(int(up[rise[-1]]))
        while fall[-1] != b:
            fall.append(int(down[fall[-1]]))
        return rise[::-1] + fall[1:]

    def founder_shares(self) -> npt.NDArray[np.float32]:
        """Each founder's part in everybody by descent: shape (newest + 1, founders).

        Single precision, as a million models make this the largest thing in memory.
        """
        shares = np.zeros((self.newest + 1, len(self.founders)), dtype=np.float32)
        shares[self.founders, np.arange(len(self.founders))] = 1.0
        starts, parent = self._parents.indptr, self._parents.indices
        weight = self._parents.data.astype(np.float32)[:, None]
        for first, last in self._broods():
            a, b = starts[first], starts[last]
            parts = shares.take(parent[a:b], axis=0)
            parts *= weight[a:b]
            shares[first:last] = np.add.reduceat(parts, starts[first:last] - a, axis=0)
        return shares

    def contributions(self, models: Iterable[int]) -> Floats:
        """How much of `models`, on average, comes down from each model: shape (newest + 1,).

        The founders' contributions sum to 1; so does each complete set of ancestors that no line
        passes twice. A model counts with 1 / len(models) as its own ancestor.
        """
        chosen = np.fromiter(models, dtype=np.int64)
        parts = np.zeros(self.newest + 1)
        np.add.at(parts, chosen, 1.0 / len(chosen))
        starts, parent, share = (
            self._parents.indptr,
            self._parents.indices,
            self._parents.data,
        )
        for first, last in reversed(list(self._broods())):
            a, b = starts[first], starts[last]
            own = np.repeat(parts[first:last], np.diff(starts[first : last + 1]))
            np.add.at(parts, parent[a:b], own * share[a:b])
        return parts

    def has_heirs(self, models: Iterable[int]) -> npt.NDArray[np.bool_]:
        """Whether each model is one of `models` or their ancestor: shape (newest + 1,).

        Exact at any depth, where contributions become too small for a number.
        """
        heirs = np.zeros(self.newest + 1, dtype=np.bool_)
        heirs[np.fromiter(models, dtype=np.int64)] = True
        starts, parent = self._parents.indptr, self._parents.indices
        for first, last in reversed(list(self._broods())):
            own = np.repeat(heirs[first:last], np.diff(starts[first : last + 1]))
            heirs[parent[starts[first] : starts[last]][own]] = True
        return heirs

    def effective_founders(self, models: Iterable[int]) -> float:
        """How many equally represented founders would be as diverse as those of `models`.

        Founder equivalents, 1 / sum of squared contributions (Lacy 1989, Zoo Biology 8: 111-123).
        """
        parts = self.contributions(models)[self.founders]
        return float(1.0 / np.sum(parts**2))

    def kinship(
        self, models: Iterable[int], told: Callable[[int, int], None] | None = None
    ) -> Floats:
        """Coefficients of kinship (phi) of `models` with each other: shape (models, models).

        The tabular method (see `lineage.ancestry.graph.kinships`) over their ancestors, oldest
        first. A row is forgotten when its last child is born, so memory grows with those who live
        at one time and not with the length of the lineage.

        Args:
            models: whose.
            told: hears (done, total) now and then.
        """
        chosen = list(models)
        family = sorted({*chosen, *(int(a) for m in set(chosen) for a in self.ancestors(m))})
        last = {p: child for child in family for p in self.parents(child)}
        last |= dict.fromkeys(chosen, self.newest + 1)
        phi, slots, free = np.zeros((0, 0)), dict[int, int](), list[int]()
        for number, node in enumerate(family):
            if told is not None and number % 1000 == 0:
                told(number, len(family))
            if not free:
                size = len(phi)
                phi = np.pad(phi, (0, max(64, size)))
                free = list(range(len(phi) - 1, size - 1, -1))
            parents = self.parents(node)
            rows = [slots[parent] for parent in parents]
            shares = np.array(list(parents.values()))
            slot = free.pop()
            between = shares @ phi[rows] if rows else np.zeros(len(phi))
            own = 0.5 * (1.0 + inbreeding(shares, phi[np.ix_(rows, rows)]))
            phi[slot] = phi[:, slot] = between
            phi[slot, slot] = own
            slots[node] = slot
            for done in [parent for parent in parents if last[parent] == node]:
                gone = slots.pop(done)
                phi[gone] = phi[:, gone] = 0.0
                free.append(gone)
        kept = [slots[model] for model in chosen]
        return np.asarray(phi[np.ix_(kept, kept)])

    def relationship(self, a: int, b: int) -> float:
        """The coefficient of relationship of two models, in [0, 1]."""
        if a == b:
            return 1.0
        return float(relationships(self.kinship((a, b)))[0, 1])

    def inbreeding(self, model: int) -> float:
        """Wright's coefficient of inbreeding: how much its parents are kin, in [0, 1]."""
        return float(inbreedings(self.kinship((model,)))[0])

    def _broods(self) -> Iterator[tuple[int, int]]:
        """Ranges of ids, oldest first, within which nobody is a parent of anybody.

        Models of one generation are one range or several; all of a range is computed at once.
        """
        starts = self._parents.indptr
        counts = np.diff(starts)
        offspring = np.flatnonzero(counts)
        if not len(offspring):
            return
        youngest = np.zeros(self.newest + 1, dtype=np.int32)
        youngest[offspring] = np.maximum.reduceat(self._parents.indices, starts[offspring])
        ends = self.newest + 1
        first = int(offspring[0])
        while first < ends:
            # A model without parents among offspring cannot be summed over its parents.
            width, last = 64, first + 1
            while last < ends:
                here = slice(last, min(last + width, ends))
                stop = (youngest[here] >= first) | (counts[here] == 0)
                at = int(stop.argmax())
                if stop[at]:
                    last += at
                    break
                last, width = here.stop, 2 * width
            yield first, last
            first = last
            while first < ends and not counts[first]:
                first += 1


def _reached(links: csr_array, model: int, depth: int | None) -> Ids:
    if depth is None:
        order = breadth_first_order(links, model, return_predecessors=False)
        return np.sort(order[1:]).astype(np.int32, copy=False)
    found, edge = {model}, [model]
    for _ in range(depth):
        spans = [links.indices[links.indptr[n] : links.indptr[n + 1]].tolist() for n in edge]
        edge = [
            node for node in dict.fromkeys(n for span in spans for n in span) if node not in found
        ]
        if not edge:
            break
        found.update(edge)
    return np.array(sorted(found - {model}), dtype=np.int32)


def _distances(links: csr_array, model: int) -> tuple[Ids, dict[int, int]]:
    """Predecessors of a breadth-first search, and steps from `model` to everyone it reaches."""
    order, before = breadth_first_order(links, model)
    steps = {model: 0}
    for node in order[1:].tolist():
        steps[node] = steps[int(before[node])] + 1
    return before, steps
