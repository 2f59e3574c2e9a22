"""People's own tasks: lists of any length, and no campaign that fails for it.

After EleutherAI/lm-evaluation-harness PR 3790 and 2451: a small pool of items makes duplicates
where code expects none.
"""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from arena.matches.items import HIDDEN, round_items
from arena.tasks import Questions, items_per_task, load_tasks
from arena.tasks.pools import Pools, ReservedItems, distinct_items, pools_of
from lineage import Archive
from lineage.records import Item
from lineage.task_weights import TaskWeights
from population.analysis.report import make_report
from population.analysis.verification import check
from population.campaign.context import Context, silent
from population.campaign.item_sampling import ItemSampler
from population.campaign.loop import Campaign
from population.campaign.offline_arena import hold_offline_round
from population.campaign.opening_context import found_archive, open_context, reopen_context
from population.campaign.readiness import shortages
from population.config import Config, parse_config


class Listed(Questions):
    """A task with so many search items, of which every `keyless`-th has no key."""

    kind, description, stop = "skill", "", None

    def __init__(self, name: str, size: int, keyless: int = 0) -> None:
        self.name = name
        self._items = [
            Item(
                f"{name}/search/{n}",
                name,
                "search",
                f"{n}?",
                None if keyless and n % keyless == 0 else "k",
            )
            for n in range(size)
        ]

    def items(self, split: str, seed: int | None = None, limit: int | None = None) -> list[Item]:
        if seed is None:
            return self._items[:limit]
        order = np.random.default_rng(seed).permutation(len(self._items))
        return [self._items[place] for place in order][:limit]


class Careless(Listed):
    """One that draws with replacement, as `random.choices` does."""

    def items(self, split: str, seed: int | None = None, limit: int | None = None) -> list[Item]:
        if seed is None:
            return self._items
        drawn = np.random.default_rng(seed).integers(len(self._items), size=limit or 1)
        return [self._items[place] for place in drawn]


class Made(Listed):
    """One that makes items for a seed."""

    def items(self, split: str, seed: int | None = None, limit: int | None = None) -> list[Item]:
        if seed is None:
            return self._items[:limit]
        return [
            Item(f"{self.name}/search/{seed}/{n}", self.name, split, f"{seed} {n}?", "k")
            for n in range(limit or 1)
        ]


SIZES = (*range(1, 41), 60, 100, 129, 130, 200, 500)
WANTED = ReservedItems(panel=120, hidden=round(HIDDEN * 36))


def twice(items: Sequence[Item]) -> list[str]:
    return [name for name, times in Counter(item.id for item in items).items() if times > 1]


def dealt(pools: Pools, seed: int, panel: int, arena: int) -> None:
    """Deal an epoch, and hold it to what was promised of it."""
    living, brood = pools.drawn(seed, panel), pools.drawn(seed + 1, 36)
    few, tested = pools.drawn(seed + 2, 240), pools.examination(seed + 3, panel)
    fresh = pools.unseen(seed + 4, panel)
    for items in (living, brood, few, tested, fresh):
        assert not twice(items)
    asked = {item.id for items in (living, brood, few, tested) for item in items}
    assert not asked & {item.id for item in fresh}, "what is asked nowhere else is"
    played = round_items(living, fresh, arena, 0.5)
    assert not twice(played.items)
    assert {item.task for item in played.items} == {pool.task.name for pool in pools.pools}
    each = items_per_task(arena, len(pools.pools))
    for pool in pools.pools:
        size = sum(item.task == pool.task.name for item in played.items)
        there = sum(item.task == pool.task.name for item in (*living, *fresh))
        assert size >= min(each, there)
    keyed = [item for item in played.items if item.key is not None]
    assert len(played.checkable) == min(len(keyed), round(0.5 * len(played.items)))


@pytest.mark.parametrize("tasks", [1, 2, 3, 4])
def test_whatever_a_task_has_nothing_is_sampled_twice(tasks: int) -> None:
    for size, seed in product(SIZES, range(3)):
        pools = pools_of([Listed(f"t{n}", size) for n in range(tasks)], seed, WANTED)
        for epoch in range(5):
            dealt(pools, 100 * epoch + seed, 120, 36)
        enough = size >= items_per_task(120, tasks) + -(-WANTED.hidden // tasks)
        assert bool(pools.unseen(0, 120)) == enough
        assert bool(pools.shortages) != enough


def test_a_heavy_task_is_asked_more_and_keeps_back_what_it_needs() -> None:
    weights = TaskWeights({"t1": 4.0, "t2": 0.5})
    tasks = [Listed(f"t{n}", 200) for n in range(4)]
    pools = pools_of(tasks, 0, WANTED, weights)
    dealt(pools, 3, 120, 36)
    panel = Counter(item.task for item in pools.drawn(0, 120))
    assert panel == {"t0": 18, "t1": 74, "t2": 9, "t3": 18}
    (short,) = pools_of([*tasks[:3], Listed("t3", 20)], 0, WANTED, weights).shortages
    assert "t3 has 20" in short


@pytest.mark.parametrize(("panel", "arena"), [(4, 4), (1, 1), (4, 40), (120, 1), (7, 6)])
def test_so_it_is_with_other_settings_and_tasks_of_different_sizes(panel: int, arena: int) -> None:
    wanted = ReservedItems(panel, round(HIDDEN * arena), panel)
    for sizes in product((1, 2, 5, 40, 300), repeat=3):
        tasks = [
            Listed("a", sizes[0]), Careless("b", sizes[1]), Made("c", sizes[2]),
            Listed("d", sizes[0], keyless=2),
        ]  # fmt: skip
        dealt(pools_of(tasks, 1, wanted), 7, panel, arena)


def test_what_is_kept_back_for_examinations_is_asked_for_nothing_else() -> None:
    wanted = ReservedItems(panel=10, hidden=3, examined=10)
    for size in range(1, 40):
        pools = pools_of([Listed("a", size)], 0, wanted)
        examined = {item.id for item in pools.examination(1, 10)}
        others = {item.id for seed in range(9) for item in pools.drawn(seed, 36)}
        assert (not examined & others) == (size >= 23)
        assert any("to examine" in told for told in pools.shortages) == (size < 23)


def test_draws_with_duplicates_are_made_distinct() -> None:
    item = Item("a", "t", "search", "?", "k")
    assert distinct_items([item, Item("b", "t", "search", "?", "k"), item])[0] is item
    pools = pools_of([Careless("b", 5)], 0, WANTED)
    assert 1 <= len(pools.drawn(3, 36)) <= 5


def test_an_epoch_keeps_the_panel_that_it_began_with() -> None:
    """Also where another version of colony dealt it, of which nothing else is known."""
    tasks = [Listed("a", 40)]
    marker = SimpleNamespace(
        prepare=lambda items, epoch: SimpleNamespace(prepared=None),
        scorable=lambda split, epoch: None,
    )
    kept = tasks[0].items("search")[3:9]
    search = Config().search
    sampler = ItemSampler(0, search, pools_of(tasks, 0, WANTED), marker, lambda epoch: kept)  # type: ignore[arg-type]
    assert sampler.panel(0).items == kept
    assert sorted(column for part in sampler.panel(0).rounds for column in part) == list(range(6))


# Real campaigns

WORDS = "abcdefghijklmnopqrstuvwxyz"


def write_task(
    folder: Path, name: str, size: int, splits: Sequence[str] = ("search", "selection", "test")
) -> Path:
    task = folder / name
    task.mkdir(parents=True)
    (task / "task.toml").write_text(f'name = "{name}"\n')
    for number, split in enumerate(splits):
        rows = [
            {"prompt": f"{WORDS[n % 26]}{n // 26}{number}=", "key": WORDS[(n + 1) % 26]}
            for n in range(size)
        ]
        (task / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return task


@pytest.fixture
def founders(make_checkpoint) -> list[Path]:  # type: ignore[no-untyped-def]
    sizes = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
    }
    return [
        make_checkpoint(name, seed, **sizes) for seed, name in enumerate(("one", "two", "three"))
    ]


def config_of(
    founders: Sequence[Path], tasks: Sequence[Path], **sections: dict[str, object]
) -> Config:
    content: dict[str, dict[str, object]] = {
        "founders": {"paths": [str(path) for path in founders]},
        "tasks": {"paths": [str(path) for path in tasks]},
        "search": {"population": 4, "brood": 4, "rotate": 1},
        "gradient": {"steps": 2},
        "gate": {"texts": 2, "answers": 1},
        "arena": {"judges": 1},
        "run": {"threads": 1, "device": "cpu"},
    }
    for name, section in sections.items():
        content[name] = content.get(name, {}) | section
    return parse_config(content, "test")


def run(config: Config, path: Path, generations: int) -> tuple[Archive, Context]:
    context = open_context(config)
    archive = found_archive(path, context)
    budget = config.budget.model_copy(update={"generations": generations})
    Campaign(archive, context, budget).run()
    return archive, context


@pytest.mark.parametrize("sizes", [(1,), (2, 40), (1, 5, 30)])
def test_campaigns_on_small_tasks_go_on_from_epoch_to_epoch(
    founders: list[Path], tmp_path: Path, sizes: tuple[int, ...]
) -> None:
    """Each generation is an epoch: in each, a fresh panel is dealt and the arena plays on it."""
    tasks = [write_task(tmp_path, f"task{n}", size) for n, size in enumerate(sizes)]
    archive, context = run(config_of(founders, tasks), tmp_path / "whole.duckdb", 3)
    assert len(archive.generations()) == 4
    assert check(archive).damages == ()
    told = [event.detail for generation, event in archive.events() if generation == 0]
    assert [detail for detail in told if "panel takes" in detail]
    assert [detail for detail in told if "kept back for the arena" in detail]
    with archive.reading() as db:
        assert db.execute("SELECT count(*) FROM round_items WHERE hidden").fetchone() == (0,)
    hold_offline_round(archive, context, silent)
    assert make_report(archive, context, silent)


def test_resumed_between_two_epochs_they_are_the_same(founders: list[Path], tmp_path: Path) -> None:
    config = config_of(founders, [write_task(tmp_path, "small", 5)])
    whole, _ = run(config, tmp_path / "whole.duckdb", 2)
    halves, _ = run(config, tmp_path / "halves.duckdb", 1)
    budget = config.budget.model_copy(update={"generations": 2})
    Campaign(halves, reopen_context(halves), budget).run()
    assert len(whole.generations()) == 3
    # The last generation of a campaign has a challenge more, so what came before is compared.
    assert [model.identity for model in halves.models()] == [
        model.identity for model in whole.models()
    ]
    assert halves.panel(2) == whole.panel(2)


def test_a_list_that_is_long_enough_keeps_items_back(founders: list[Path], tmp_path: Path) -> None:
    config = config_of(
        founders, [write_task(tmp_path, "long", 40)],
        search={"panel": 12, "items": 8}, arena={"items": 8},
    )  # fmt: skip
    archive, context = run(config, tmp_path / "long.duckdb", 3)
    with archive.reading() as db:
        hidden = {
            name
            for (name,) in db.execute(
                "SELECT DISTINCT item FROM round_items WHERE hidden"
            ).fetchall()
        }
        scored = {name for (name,) in db.execute("SELECT DISTINCT item FROM scores").fetchall()}
    assert len(hidden) == 2
    assert not hidden & scored
    assert not any("kept back" in event.detail for _, event in archive.events())
    assert len(load_tasks(config.tasks.paths)) == len(context.tasks)
    assert shortages(context, pools_of(context.tasks, 0, ReservedItems(120, 9))) != ()
