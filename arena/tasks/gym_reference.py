"""References to generators of reasoning-gym: `reasoning_gym:NAME{ size = 200, SETTING = VALUE }`.

Behind the name may stand a table as TOML writes it inline. `size` and `seed` say how many search
items there are (half as many of selection, as many of test) and which; what a `task.toml` may say
of names, chats, stops, extractors and samples may be said here; all else are settings of the
generator, which make its items easy or hard.
"""

import re
import tomllib
from typing import Any

from arena.errors import TaskError
from arena.tasks.asking import Asking
from arena.tasks.description import KNOWN, Description
from arena.tasks.generators import SPLITS
from arena.tasks.gym_task import APART, GymTask
from arena.tasks.reasoning_gym.gym import Gym, GymDataset

GYM = "reasoning_gym:"
"""The prefix of such references."""

DEFAULT_SIZE = 240
"""Search items."""

LARGEST = 100_000
"""Search items, at most: all are made before a campaign starts."""

SEEDS = 1_000
"""Seeds that items may be made from: each takes three million of the library's, of 32 bits."""

_LEFT_TO_OTHERS = {"generator", "compare", "tolerance", "score", "shots"}
"""Keys of a `task.toml` that mean nothing here: the generator's verifier decides."""

_REFERENCE = re.compile(r"(\w+)\s*(\{.*\})?", re.DOTALL)


def gym_task(reference: str) -> GymTask:
    """The task that a reference means.

    Raises:
        TaskError: it is none, or a setting is wrong; the generator's own are looked at when items
            are made.
    """
    match = _REFERENCE.fullmatch(reference.removeprefix(GYM).strip())
    if match is None:
        raise TaskError(
            f"{reference!r} is no task; write {GYM}NAME or {GYM}NAME{{ size = 200, chat = true }}"
        )
    generator, table = match.groups()
    try:
        given: dict[str, Any] = tomllib.loads(f"x = {table or '{}'}")["x"]
    except (ValueError, RecursionError) as error:
        raise TaskError(f"{reference}: what stands in braces is no TOML: {error}") from None
    if unfit := sorted(_LEFT_TO_OTHERS & given.keys()):
        raise TaskError(f"{reference}: {unfit[0]!r} has no meaning here: the verifier decides")
    size = _whole(reference, given, "size", DEFAULT_SIZE, 1, LARGEST)
    seed = _whole(reference, given, "seed", 0, 0, SEEDS)
    own = {key: value for key, value in given.items() if key in KNOWN}
    options = {key: value for key, value in given.items() if key not in {*KNOWN, "size", "seed"}}
    described = Description(own, reference)
    sizes = {"search": size, "selection": -(-size // 2), "test": size}
    asking, first = described.asking, seed * len(SPLITS) * APART
    return GymTask(
        name=described.text("name", generator),
        kind=described.text("kind", "skill"),
        description=described.text("description", f"{generator} of reasoning-gym"),
        datasets={
            split: GymDataset(generator, options, first + place * APART, sizes[split])
            for place, split in enumerate(SPLITS)
        },
        gym=Gym(reference),
        stop=described.stop,
        longest=described.longest,
        asking=Asking(asking.chat, asking.system),
        extractor=described.marking.extractor,
        sampling=described.sampling,
    )


def _whole(where: str, given: dict[str, Any], key: str, default: int, least: int, most: int) -> int:
    number = given.get(key, default)
    if type(number) is not int or not least <= number <= most:
        raise TaskError(
            f"{where}: {key!r} must be a whole number from {least} to {most:,}, got {number!r:.60}"
        )
    return number
