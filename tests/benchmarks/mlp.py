"""The network and the images of M2N2's first experiment, and founders for it.

After SakanaAI/natural_niches: scikit-learn's digits in their raw pixels of 0 to 16, unshuffled, the
first four fifths to train on; a network of 64, 256 and 10 units with ReLU. A model is a flat vector
of float32: weights (64, 256) and biases of the hidden layer, then those (256, 10) of the outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import torch
from sklearn.datasets import load_digits  # type: ignore[import-untyped]
from torch.nn.functional import cross_entropy

from population.evolution.spaces.space import Integers
from population.randomness import generator
from tests.benchmarks.harness import BenchmarkError
from tests.benchmarks.rivals.problem import Floats

Weights = npt.NDArray[np.float32]

INPUTS, HIDDEN, OUTPUTS = 64, 256, 10
SIZES = (INPUTS * HIDDEN, HIDDEN, HIDDEN * OUTPUTS, OUTPUTS)
SIZE = sum(SIZES)
INITIAL = 0.01
"""Standard deviation of the weights of a network that has not learned anything."""

CHUNK = 1 << 18
"""Hidden activations that are computed at a time: 1 MiB stays in the second-level cache."""


@dataclass(frozen=True)
class Images:
    """Pixels (images, 64) and what they show (images,)."""

    pixels: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, items: Integers) -> "Images":
        """Some of them."""
        chosen = torch.from_numpy(items)
        return Images(self.pixels[chosen], self.labels[chosen])


@cache
def digits() -> tuple[Images, Images]:
    """Those to train on, and those to test with."""
    pixels, labels = load_digits(return_X_y=True)
    train = int(0.8 * len(labels))
    everything = Images(torch.from_numpy(pixels).float(), torch.from_numpy(labels).long())
    rows = np.arange(len(labels))
    return everything.only(rows[:train]), everything.only(rows[train:])


# Scoring


def scores(weights: Weights, asked: Images, smooth: bool = False) -> Floats:
    """How networks do, shape (networks, images): 1 for a right answer, else 0.

    Args:
        weights: shape (networks, SIZE).
        asked: what they look at.
        smooth: score the mean of that and of the right answer's probability.
    """
    networks, images = len(weights), len(asked)
    logits = torch.empty(networks, images, OUTPUTS)
    together = max(1, CHUNK // (images * HIDDEN))
    for start in range(0, networks, together):
        some = torch.from_numpy(weights[start : start + together])
        count = len(some)
        w1, b1, w2, b2 = torch.split_with_sizes(some, SIZES, dim=1)
        pixels = asked.pixels.expand(count, -1, -1)
        hidden = torch.baddbmm(b1.unsqueeze(1), pixels, w1.view(count, INPUTS, HIDDEN)).relu_()
        out = logits[start : start + count]
        torch.baddbmm(b2.unsqueeze(1), hidden, w2.view(count, HIDDEN, OUTPUTS), out=out)
    exact = (logits.argmax(dim=-1) == asked.labels).double()
    if not smooth:
        return exact.numpy()
    right = asked.labels.expand(networks, -1).unsqueeze(-1)
    probability = logits.double().softmax(dim=-1).gather(-1, right).squeeze(-1)
    return (0.5 * (exact + probability)).numpy()


def accuracy(weights: Weights, asked: Images) -> float:
    """The share of right answers of one network, shape (SIZE,)."""
    return float(scores(weights[np.newaxis], asked).mean())


# Founders


def trained(labels: Sequence[int], seed: int, steps: int = 10, rate: float = 0.003) -> Weights:
    """A network that has seen some digits only: full-batch Adam from chance, as published."""
    train, _ = digits()
    asked = train.only(np.flatnonzero(np.isin(train.labels.numpy(), labels)))
    chance = torch.Generator().manual_seed(seed)
    flat = (INITIAL * torch.randn(SIZE, generator=chance)).requires_grad_()
    adam = torch.optim.Adam([flat], lr=rate)
    for _ in range(steps):
        w1, b1, w2, b2 = torch.split_with_sizes(flat, SIZES)
        hidden = (asked.pixels @ w1.view(INPUTS, HIDDEN) + b1).relu()
        loss = cross_entropy(hidden @ w2.view(HIDDEN, OUTPUTS) + b2, asked.labels)
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    return flat.detach().numpy()


def untrained(count: int, seed: int) -> Weights:
    """Networks that have seen nothing, shape (count, SIZE)."""
    drawn = generator(seed, "untrained").standard_normal((count, SIZE))
    return (INITIAL * drawn).astype(np.float32)


def specialists() -> Weights:
    """The two founders of the published experiment: for the lower digits, and for the higher."""
    return np.stack([trained(range(5), seed=1), trained(range(5, 10), seed=2)])


def split_specialists(count: int, seed: int) -> Weights:
    """Founders among whom the ten classes are split by chance, as evenly as can be.

    Args:
        count: of founders, at most ten.
        seed: of the split and of the founders' training.

    Returns:
        Shape (count, SIZE).
    """
    rng = generator(seed, "split", count)
    parts = np.array_split(rng.permutation(OUTPUTS), count)
    return np.stack([trained(part.tolist(), int(rng.integers(1 << 31))) for part in parts])


def read_founders(path: Path) -> Weights:
    """Founders from an .npz file, shape (founders, SIZE), in the order of their keys.

    Raises:
        BenchmarkError: the file is missing or broken, or does not hold two networks or more.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            arrays = {key: content[key] for key in sorted(content.files)}
    except (OSError, ValueError, EOFError, AttributeError, TypeError, BadZipFile) as error:
        raise BenchmarkError(f"{path} is no .npz file of founders: {error}") from None
    found: list[Weights] = []
    for key, array in arrays.items():
        if array.ndim not in {1, 2} or array.shape[-1] != SIZE or array.dtype.kind not in "fiu":
            raise BenchmarkError(
                f"{path}: {key!r} is {array.dtype} of shape {array.shape}; "
                f"expected numbers of shape ({SIZE},) or (n, {SIZE})"
            )
        if not np.isfinite(array).all():
            raise BenchmarkError(f"{path}: {key!r} holds numbers that are not finite")
        found += list(np.atleast_2d(array).astype(np.float32))
    if len(found) < 2:
        raise BenchmarkError(f"{path} holds {len(found)} founders; expected two or more")
    return np.stack(found)


# Blocks


def units() -> Integers:
    """The hidden unit that each weight belongs to, shape (SIZE,); 256 + n for output n's bias.

    A unit is what goes into it, its bias, and what goes out of it: they mean something together.
    """
    unit = np.arange(HIDDEN)
    into, out_of = np.tile(unit, INPUTS), np.repeat(unit, OUTPUTS)
    return np.concatenate([into, unit, out_of, HIDDEN + np.arange(OUTPUTS)])


def blocks(groups: int) -> Integers:
    """The block of each weight, shape (SIZE,): neighbouring hidden units, or an output's bias."""
    unit = units()
    return np.where(unit < HIDDEN, unit * groups // HIDDEN, unit - HIDDEN + groups)
