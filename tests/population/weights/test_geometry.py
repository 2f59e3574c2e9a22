"""Angles from inner products are those of the weights themselves."""

from collections.abc import Sequence

import numpy as np
import pytest

from lineage.records import Floats
from population.models.blocks import Granularity, Layout, layout_of
from population.models.checkpoints import Checkpoint
from population.models.opening import open_checkpoint
from population.weights.genomes import Basis
from population.weights.geometry import Geometry, geometry_of
from tests.model_zoo import ABC, Zoo


def opened(zoo: Zoo, kind: str, granularity: Granularity) -> tuple[list[Checkpoint], Layout]:
    founders = [open_checkpoint(zoo(kind, name), name) for name in ABC]
    shapes = {name: header.shape for name, header in founders[0].tensors.items()}
    return founders, layout_of(shapes, founders[0].config, granularity)


def task_vectors(founders: Sequence[Checkpoint], basis: Basis, layout: Layout) -> list[Floats]:
    """Every block's task vectors, all weights in a row: (vectors, weights in the block)."""
    blocks: list[list[Floats]] = [[] for _ in layout.blocks]
    for name in founders[0].tensors:
        wide = np.array([np.asarray(founder.wide(name), dtype=np.float64) for founder in founders])
        origin = wide.mean(axis=0) if basis.base is None else wide[basis.base]
        apart = wide[list(basis.vectors)] - origin
        for segment in layout.segments[name]:
            part = np.take(apart, range(segment.start, segment.stop), axis=1 + segment.dim)
            blocks[segment.block].append(part.reshape(len(apart), -1))
    return [np.concatenate(parts, axis=1) for parts in blocks]


def angle(one: Floats, other: Floats) -> float:
    return float(np.arccos(one @ other / np.linalg.norm(one) / np.linalg.norm(other)))


@pytest.mark.parametrize("granularity", ["half", "group"])
@pytest.mark.parametrize("base", [None, 0, 1])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_angles_are_those_of_the_weights(
    zoo: Zoo, kind: str, base: int | None, granularity: Granularity
) -> None:
    founders, layout = opened(zoo, kind, granularity)
    basis = Basis(ABC, base)
    measured = geometry_of(founders, basis, layout)
    explicit = task_vectors(founders, basis, layout)
    assert measured.vectors.shape == (len(layout.blocks),) + 2 * (len(basis.vectors),)
    lengths = [np.linalg.norm(vectors, axis=1) for vectors in explicit]
    np.testing.assert_allclose(measured.lengths, np.array(lengths).T, rtol=1e-6)
    rng = np.random.default_rng(0)
    for _ in range(3):
        one, other = rng.normal(size=(2, len(basis.vectors), len(layout.blocks)))
        first = [one[:, block] @ vectors for block, vectors in enumerate(explicit)]
        second = [other[:, block] @ vectors for block, vectors in enumerate(explicit)]
        expected = [angle(a, b) for a, b in zip(first, second, strict=True)]
        found = measured.angles(one.ravel(), other.ravel())
        np.testing.assert_allclose(found, expected, atol=1e-6)
        whole = measured.angle(one.ravel(), other.ravel())
        assert whole == pytest.approx(angle(np.concatenate(first), np.concatenate(second)))


def test_chunks_do_not_matter(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    founders, layout = opened(zoo, "llama", "half")
    whole = geometry_of(founders, Basis(ABC, 0), layout)
    monkeypatch.setattr("population.weights.geometry.CHUNK", 17)
    np.testing.assert_allclose(geometry_of(founders, Basis(ABC, 0), layout).vectors, whole.vectors)


def test_the_same_direction_has_no_angle_and_the_opposite_half_a_turn() -> None:
    made = Geometry(np.array([np.eye(2)] * 3))
    genome = np.array([1.0, 2.0, 3.0, -1.0, 0.5, 0.0])
    np.testing.assert_allclose(made.angles(genome, 2 * genome), 0.0, atol=1e-7)
    np.testing.assert_allclose(made.angles(genome, -genome), np.pi, atol=1e-7)
    assert made.angle(genome, 3 * genome) == pytest.approx(0.0, abs=1e-7)


def test_the_base_is_parallel_to_all() -> None:
    """It has no direction, and a block of it must not become NaN."""
    made = Geometry(np.array([np.eye(2)] * 2))
    nothing_in_one = np.array([0.0, 1.0, 0.0, 1.0])
    found = made.angles(nothing_in_one, np.array([1.0, 0.0, 1.0, 1.0]))
    np.testing.assert_allclose(found, [0.0, np.pi / 4])
    assert made.angle(np.zeros(4), nothing_in_one) == 0.0
