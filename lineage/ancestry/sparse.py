"""Ancestry of an archive as one sparse matrix, for up to a million models.

`lineage.ancestry.graph` answers the same questions with a networkx graph; it is the reference, and
tests compare the two. A graph of a million models takes networkx ten seconds and a gigabyte, so
large archives use this module.

Ids are row numbers. Row c of the matrix holds the shares of c's parents, and since ids grow with
birth it is strictly lower triangular: descent is a breadth-first search, and founder shares are one
pass from the oldest to the youngest.
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
    """Implements `lineage.ancestry.ancestry.Ancestry` with sparse arrays.

    Args:
        edges: all parent edges of an archive.
    """

    def __init__(self, edges: ParentEdges) -> None:
        self.newest = newest = edges.newest
        self.founders = edges.founders
        starts = np.zeros(newest + 2, dtype=np.int32)
        np.cumsum(np.bincount(edges.child, minlength=newest + 1), out=starts[1:])
        rows = edges.share, edges.parent.astype(np.int32, copy=False), starts
        self._parents = csr_array(rows, shape=(newest + 1, newest + 1))

    @cached_property
    def _children(self) -> csr_array:
        return self._parents.T.tocsr()

    @cached_property
    def births(self) -> Ids:
        """Number of children of each model, by id: shape `[newest + 1]`."""
        return np.asarray(np.diff(self._children.indptr))

    def parents(self, model: int) -> dict[int, float]:
        """Shares of a model's parents, by id."""
        start, end = self._parents.indptr[model : model + 2]
        ids, shares = self._parents.indices[start:end], self._parents.data[start:end]
        return dict(zip(ids.tolist(), shares.tolist(), strict=True))

    def ancestors(self, model: int, depth: int | None = None) -> Ids:
        """Ids of ancestors, ascending; at most `depth` generations back: shape `[ids]`."""
        return _reached(self._parents, model, depth)

    def descendants(self, model: int, depth: int | None = None) -> Ids:
        """Ids of descendants, ascending; at most `depth` generations on: shape `[ids]`."""
        return _reached(self._children, model, depth)

    def steps_up(self, model: int) -> dict[int, int]:
        """Fewest generations back to each ancestor, by id; 0 to the model itself."""
        return _distances(self._parents, model)[1]

    def common_ancestors(self, a: int, b: int) -> Ids:
        """Ids of common ancestors, ascending, each model its own ancestor: shape `[ids]`.

        So the common ancestors of a parent and its child are the parent and its ancestors.
        """
        return np.intersect1d(np.append(self.ancestors(a), a), np.append(self.ancestors(b), b))

    def path(self, a: int, b: int) -> list[int] | None:
        """Shortest path from a to b: up to a common ancestor, then down; None if unrelated.

        Of equally short paths the one through the youngest common ancestor is taken.
        """
        toward_a, steps_from_a = _distances(self._parents, a)
        toward_b, steps_from_b = _distances(self._parents, b)
        common = [node for node in steps_from_a if node in steps_from_b]
        if not common:
            return None
        top = min(common, key=lambda node: (steps_from_a[node] + steps_from_b[node], -node))
        to_a, to_b = [top], [top]
        while to_a[-1] != a:
            to_a.append(int(toward_a[to_a[-1]]))
        while to_b[-1] != b:
            to_b.append(int(toward_b[to_b[-1]]))
        return to_a[::-1] + to_b[1:]

    def founder_shares(self) -> npt.NDArray[np.float32]:
        """Each founder's share in each model by descent: shape `[newest + 1, founders]`.

        Single precision, as a million models make this the largest thing in memory.
        """
        shares = np.zeros((self.newest + 1, len(self.founders)), dtype=np.float32)
        shares[self.founders, np.arange(len(self.founders))] = 1.0
        starts, parent = self._parents.indptr, self._parents.indices
        weight = self._parents.data.astype(np.float32)[:, None]
        for first, last in self._independent_ranges():
            a, b = starts[first], starts[last]
            parts = shares.take(parent[a:b], axis=0)
            parts *= weight[a:b]
            shares[first:last] = np.add.reduceat(parts, starts[first:last] - a, axis=0)
        return shares

    def contributions(self, models: Iterable[int]) -> Floats:
        """Each model's mean share in `models` by descent: shape `[newest + 1]`.

        The founders' shares sum to 1; so do those of each complete set of ancestors that no line
        passes twice. A model counts with 1 / len(models) as its own ancestor.
        """
        chosen = np.fromiter(models, dtype=np.int64)
        shares = np.zeros(self.newest + 1)
        np.add.at(shares, chosen, 1.0 / len(chosen))
        starts, parent, share = (
            self._parents.indptr,
            self._parents.indices,
            self._parents.data,
        )
        for first, last in reversed(list(self._independent_ranges())):
            a, b = starts[first], starts[last]
            own = np.repeat(shares[first:last], np.diff(starts[first : last + 1]))
            np.add.at(shares, parent[a:b], own * share[a:b])
        return shares

    def has_heirs(self, models: Iterable[int]) -> npt.NDArray[np.bool_]:
        """Whether each model is one of `models` or their ancestor: shape `[newest + 1]`.

        Exact at any depth, where contributions underflow.
        """
        with_heirs = np.zeros(self.newest + 1, dtype=np.bool_)
        with_heirs[np.fromiter(models, dtype=np.int64)] = True
        starts, parent = self._parents.indptr, self._parents.indices
        for first, last in reversed(list(self._independent_ranges())):
            own = np.repeat(with_heirs[first:last], np.diff(starts[first : last + 1]))
            with_heirs[parent[starts[first] : starts[last]][own]] = True
        return with_heirs

    def effective_founders(self, models: Iterable[int]) -> float:
        """How many equally represented founders would be as diverse as those of `models`.

        Founder equivalents, 1 / sum_f p_f^2 with p_f the mean share of founder f in `models` (Lacy
        1989, Zoo Biology 8: 111-123).
        """
        shares = self.contributions(models)[self.founders]
        return float(1.0 / np.sum(shares**2))

    def kinship(
        self, models: Iterable[int], progress: Callable[[int, int], None] | None = None
    ) -> Floats:
        """Coefficients of kinship (phi) of `models` with each other: shape `[models, models]`.

        The tabular method (see `lineage.ancestry.graph.kinships`) over their ancestors, oldest
        first. A row is freed when the last child of its model is born, so memory grows with the
        models alive at one time and not with the length of the lineage.

        Args:
            models: ids; rows and columns are in their order.
            progress: called with (done, total) now and then.
        """
        chosen = list(models)
        family = sorted({*chosen, *(int(a) for m in set(chosen) for a in self.ancestors(m))})
        last = {p: child for child in family for p in self.parents(child)}
        last |= dict.fromkeys(chosen, self.newest + 1)
        phi, slots, free = np.zeros((0, 0)), dict[int, int](), list[int]()
        for number, node in enumerate(family):
            if progress is not None and number % 1000 == 0:
                progress(number, len(family))
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
            for finished in [parent for parent in parents if last[parent] == node]:
                freed = slots.pop(finished)
                phi[freed] = phi[:, freed] = 0.0
                free.append(freed)
        kept = [slots[model] for model in chosen]
        return np.asarray(phi[np.ix_(kept, kept)])

    def relationship(self, a: int, b: int) -> float:
        """Coefficient of relationship of two models, in [0, 1]."""
        if a == b:
            return 1.0
        return float(relationships(self.kinship((a, b)))[0, 1])

    def inbreeding(self, model: int) -> float:
        """Wright's coefficient of inbreeding of a model, F = 2 phi(a, a) - 1, in [0, 1]."""
        return float(inbreedings(self.kinship((model,)))[0])

    def _independent_ranges(self) -> Iterator[tuple[int, int]]:
        """Ranges of ids, oldest first, within which no model is a parent of another.

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
    """Ids of all models that `links` lead to, ascending; in at most `depth` steps."""
    if depth is None:
        order = breadth_first_order(links, model, return_predecessors=False)
        return np.sort(order[1:]).astype(np.int32, copy=False)
    reached, frontier = {model}, [model]
    for _ in range(depth):
        spans = [links.indices[links.indptr[n] : links.indptr[n + 1]].tolist() for n in frontier]
        frontier = [
            node for node in dict.fromkeys(n for span in spans for n in span) if node not in reached
        ]
        if not frontier:
            break
        reached.update(frontier)
    return np.array(sorted(reached - {model}), dtype=np.int32)


def _distances(links: csr_array, model: int) -> tuple[Ids, dict[int, int]]:
    """Predecessors of a breadth-first search, and steps from `model` to each model it reaches."""
    order, before = breadth_first_order(links, model)
    steps = {model: 0}
    for node in order[1:].tolist():
        steps[node] = steps[int(before[node])] + 1
    return before, steps
