"""Orders: carried out whole, once, at the right moment, and part of what a campaign can repeat."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lineage import Archive
from lineage.archive.fork import fork
from lineage.archive.merge import merge_archives
from lineage.commands.definitions import all_commands, paused, pinned, submit
from lineage.errors import CommandError
from lineage.records import Command, CommandOutcome, Model
from lineage.storage.lock import campaign_holder, campaign_lock
from population.analysis.verification import check
from population.campaign.loop import Campaign
from population.campaign.opening_context import reopen_context
from population.config import Budget
from population.errors import Interrupted
from population.evolution.evolution_strategy import EvolutionStrategyEmitter, with_genes
from tests.conftest import SHIPPED
from tests.population.campaign.test_campaign import assert_same, content

SUM = str(SHIPPED / "founders" / "sum")
FOUNDERS = 4


@pytest.fixture
def colony(small_archive: Archive, tmp_path: Path) -> Archive:
    """A colony of its own for each test: four founders, six offspring, one generation."""
    return fork(small_archive, 1, tmp_path / "colony.duckdb")


def go_on(archive: Archive, generation: int, *, stop: str = "", **told: object) -> str:
    """Run the campaign in an archive up to a generation, or until `stop` is what takes its time."""

    def progress(done: int, total: int, what: str) -> None:
        if stop and stop in what:
            raise Interrupted(what)

    limits = Budget(item_evaluations=10**9, generations=generation)
    campaign = Campaign(archive, reopen_context(archive), limits, progress, **told)  # type: ignore[arg-type]
    if not stop:
        return campaign.run()
    with pytest.raises(Interrupted):
        campaign.run()
    return "interrupted"


def commoners(archive: Archive) -> list[Model]:
    """Living offspring without a title: neither champion nor where the search stands."""
    last = archive.latest()
    assert last is not None
    titled = {last.champion, archive.search(last.generation).origin}
    return [m for m in archive.models(living=True) if m.kind == "offspring" and m.id not in titled]


def copied(archive: Archive, name: str) -> Archive:
    return Archive(Path(shutil.copy(archive.path, archive.path.with_name(name))))


def order_all(archive: Archive) -> None:
    """Give orders of every kind that changes what is bred."""
    low, high = commoners(archive)[:2]
    submit(archive, "cull", [low.id])
    submit(archive, "mate", [high.id, 3])
    submit(archive, "add-founder", argument=SUM)
    submit(archive, "pin", [high.id])
    submit(archive, "budget", argument="987654321")


def order_child_of_the_newcomer(archive: Archive) -> None:
    submit(archive, "mate", [archive.find("sum").id, 2])


@pytest.fixture(scope="module")
def ordered(small_archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """A colony that took orders of all kinds after generation 1, and bred two more."""
    archive = fork(small_archive, 1, tmp_path_factory.mktemp("ordered") / "ordered.duckdb")
    order_all(archive)
    go_on(archive, 1)
    order_child_of_the_newcomer(archive)
    go_on(archive, 3)
    return archive


def outcome(archive: Archive, order: Command) -> tuple[str | None, str]:
    (found,) = [one for one in all_commands(archive) if one.id == order.id]
    return found.outcome, found.answer or ""


def test_commands_wait_until_the_campaign_goes_on(colony: Archive) -> None:
    one, other = commoners(colony)[:2]
    given = [submit(colony, "pin", [one.id]), submit(colony, "cull", [other.id])]
    assert all_commands(colony) == all_commands(colony, only_open=True) == given
    assert [order.words for order in given] == [f"pin #{one.id}", f"cull #{other.id}"]
    assert {order.given for order in given} == {1}
    assert (pinned(colony), colony.models(ids=[other.id])[0].living) == ([], True)
    heard: list[CommandOutcome] = []
    go_on(colony, 1, on_command=heard.append)
    assert [settled.command for settled in heard] == given
    assert all_commands(colony, only_open=True) == []
    assert [order.settled for order in all_commands(colony)] == [1, 1]
    told = [event for _, event in colony.events() if event.kind == "intervention"]
    assert [event.model for event in told] == [one.id, other.id]
    assert told[0].detail == (
        f"command 1 (pin #{one.id}) done: #{one.id} keeps its place until it is unpinned"
    )
    assert len(colony.generations()) == 2  # there was no generation to breed


def test_who_is_culled_is_a_fossil_and_has_no_more_children(
    ordered: Archive, small_archive: Archive
) -> None:
    (gone,) = all_commands(ordered)[0].models
    (fossil,) = ordered.models(ids=[gone])
    assert (fossil.died, fossil.cause) == (1, "culled")
    later = [model for model in ordered.models() if model.generation > 1]
    assert len(later) == 5 + 6  # as many as lived, and then as many as there are places
    assert gone not in {parent.id for model in later for parent in model.parents}
    assert sum(model.kind == "offspring" for model in ordered.models(living=True)) == 6
    assert ordered.inconsistencies() == []
    assert small_archive.models(ids=[gone])[0].cause != "culled"


def test_who_is_pinned_lives_until_it_is_unpinned(colony: Archive, small_archive: Archive) -> None:
    lost = [m.id for m in commoners(colony) if not small_archive.models(ids=[m.id])[0].living]
    assert lost  # left to itself, the campaign has given their places to others by generation 3
    submit(colony, "pin", lost[:1])
    go_on(colony, 3)
    assert colony.models(ids=lost[:1])[0].living
    assert pinned(colony) == lost[:1]
    submit(colony, "unpin", lost[:1])
    go_on(colony, 3)
    assert pinned(colony) == []


def test_two_that_are_to_mate_have_a_child_in_the_next_generation(colony: Archive) -> None:
    """Of exactly these two, by an operator for two; half of a brood is left to the search."""
    one, other = [model.id for model in commoners(colony)[:2]]
    pairs = [[one, other], [2, one], [1, 4], [2, 3]]
    given = [submit(colony, "mate", pair) for pair in pairs]
    go_on(colony, 2)
    assert [order.settled for order in all_commands(colony)] == [2, 2, 2, None]
    born = [model for model in colony.models() if model.generation == 2]
    assert len(born) == 6
    assert born[0].operator == "centre"
    for order, child, pair in zip(given, born[3:], pairs, strict=False):
        assert {parent.id: parent.share for parent in child.parents} == dict.fromkeys(pair, 0.5)
        assert child.operator not in {"ensemble", "soup"}
        done, answer = outcome(colony, order)
        assert done == "done"
        assert answer.startswith(f"#{child.id} was born of #{pair[0]} and #{pair[1]} (")
        assert answer.endswith("it lives" if child.living else f"it died: {child.cause}")


def test_a_budget_of_minutes_ends_a_campaign_and_leaves_the_other_limit(colony: Archive) -> None:
    before = colony.campaign()[1]["budget"]["item_evaluations"]
    order = submit(colony, "budget", argument="0.001m")
    assert order.words == "budget 0.001 minutes"
    generations = len(colony.generations())
    reason = go_on(colony, 99)
    assert "the campaign has worked for" in reason
    assert len(colony.generations()) == generations
    assert colony.campaign()[1]["budget"]["minutes"] == 0.001
    assert colony.campaign()[1]["budget"]["item_evaluations"] == before
    words = f"{before:,} item evaluations"
    assert all_commands(colony)[-1].answer == (
        f"the budget is {words} and 0.001 minutes; it was {words}"
    )


def test_a_budget_is_heard_of_at_once_and_for_good(colony: Archive) -> None:
    submit(colony, "budget", argument="1")
    said = go_on(colony, 9)
    assert "of 1 item evaluations are spent" in said
    assert colony.campaign()[1]["budget"]["item_evaluations"] == 1
    submit(colony, "budget", argument="123456789")
    assert go_on(colony, 1) == "all of the 1 generations asked for are bred"
    assert all_commands(colony)[-1].answer == "the budget is 123,456,789 item evaluations; it was 1"


def test_a_paused_campaign_waits_is_stopped_and_goes_on(colony: Archive) -> None:
    """It breeds nothing while it waits, but hears; and pausing changes nothing that is bred."""
    straight = copied(colony, "straight.duckdb")
    submit(colony, "pause")
    go_on(colony, 2, stop="paused")
    go_on(colony, 2, stop="paused")
    assert paused(colony)
    assert len(colony.generations()) == 2
    gone = commoners(colony)[0].id
    asked: list[str] = []

    def somebody(done: int, total: int, what: str) -> None:
        """Whoever watches, from another connection: first culls, then lets it go on."""
        if "paused" in what and len(asked) < 2:
            watcher = Archive(colony.path)
            asked.append(what)
            if len(asked) == 1:
                submit(watcher, "cull", [gone])
            else:
                assert not watcher.models(ids=[gone])[0].living
                submit(watcher, "resume")

    limits = Budget(item_evaluations=10**9, generations=2)
    Campaign(colony, reopen_context(colony), limits, somebody).run()
    assert len(asked) == 2
    assert not paused(colony)
    submit(straight, "cull", [gone])
    go_on(straight, 2)
    one, other = content(straight), content(colony)
    for table in one.keys() - {"orders", "events"}:
        assert one[table] == other[table], table


def test_commands_are_carried_out_once_wherever_a_campaign_stops(
    colony: Archive, ordered: Archive
) -> None:
    """Stopped while a founder joins, after orders are settled, and in the midst of generations."""
    order_all(colony)
    go_on(colony, 3, stop="scoring sum")
    assert [order.kind for order in all_commands(colony) if order.outcome] == ["cull"]
    go_on(colony, 3, stop="offspring")
    settled = [order.kind for order in all_commands(colony) if order.outcome]
    assert settled == ["cull", "add-founder", "pin", "budget"]
    order_child_of_the_newcomer(colony)
    go_on(colony, 3, stop="finalists")
    assert len(colony.generations()) == 2
    go_on(colony, 3, stop="challengers")
    assert [order.kind for order in all_commands(colony, only_open=True)] == ["mate", "mate"]
    go_on(colony, 3)
    assert_same(colony, ordered)


def test_a_founder_that_joins_takes_part_and_nobody_changes(
    ordered: Archive, small_archive: Archive
) -> None:
    joined, blocks = ordered.find("sum"), len(ordered.blocks())
    assert (joined.kind, joined.generation, joined.living) == ("founder", 1, True)
    assert ordered.basis() == [2, 3, 4, joined.id]
    panel = [item.id for item in ordered.panel(0)]
    assert not np.isnan(ordered.scores([joined.id], panel).exact).any()
    spent, free = ordered.generations()[1].evaluations, small_archive.generations()[1].evaluations
    assert spent == free + len(panel)
    assert joined.id not in ordered.ratings(1)
    assert joined.id in ordered.ratings(2)

    def of_newcomer(models: list[Model]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        genomes = ordered.genomes([model.id for model in models])
        return genomes.reshape(len(models), 4, blocks)[:, 3]

    before = [m for m in ordered.models() if m.kind == "offspring" and m.id < joined.id]
    assert not of_newcomer(before).any()
    known = {model.id: model.identity for model in small_archive.models()}
    assert [model.identity for model in before] == [known[model.id] for model in before]
    child = ordered.find(str(all_commands(ordered)[-1].answer).split()[0])
    assert {parent.id for parent in child.parents} == {joined.id, 2}
    emitted = [m for m in ordered.models() if m.operator == "emitter" and m.id > joined.id]
    assert of_newcomer([child, *emitted]).any(axis=1).all()  # the search steps there as well
    found = check(ordered)
    assert found.founders == 5
    assert found.replayed == found.offspring == len(ordered.offspring())
    assert found.damages == ()


def test_a_fork_has_what_was_ordered_by_then(ordered: Archive, tmp_path: Path) -> None:
    """And who waited for the next generation waits again, so that it becomes the same."""
    branch = fork(ordered, 1, tmp_path / "branch.duckdb")
    assert [order.kind for order in all_commands(branch, only_open=True)] == ["mate", "mate"]
    go_on(branch, 3)
    assert_same(branch, ordered)
    early = fork(ordered, 0, tmp_path / "early.duckdb")
    assert (all_commands(early), early.basis(), check(early).damages) == ([], [2, 3, 4], ())


def test_unions_know_of_founders_that_joined(ordered: Archive, tmp_path: Path) -> None:
    early = fork(ordered, 0, tmp_path / "early.duckdb")

    def named(archive: Archive) -> list[str]:
        ids = [model for order in all_commands(archive) for model in order.models]
        return [archive.models(ids=[model])[0].identity for model in ids]

    for one, other in ((early, ordered), (ordered, early)):
        made = merge_archives(one, other, tmp_path / f"{one.path.stem}-first.duckdb")
        united = made.archive
        assert (made.founders, made.goes_on) == (5, one is ordered)
        assert united.inconsistencies() == []
        assert check(united, sample=12).damages == ()
        assert named(united) == named(one)
    born = united.find(str(all_commands(united)[-1].answer).split()[0])
    assert {united.models(ids=[p.id])[0].label for p in born.parents} == {"sum", "capital"}


def test_a_founder_that_does_not_fit_is_refused_when_its_turn_comes(
    colony: Archive, make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    twin = tmp_path / "twin"
    shutil.copytree(SHIPPED / "founders" / "cipher", twin)
    cases = {
        str(tmp_path / "nothing"): "no folder at",
        str(make_checkpoint("tiny")): "founders of one colony share one architecture",
        str(SHIPPED / "founders" / "double"): "a founder is named 'double' already",
        str(twin): "'twin' has the weights of the founder 'cipher'",
    }
    given = {submit(colony, "add-founder", argument=path): said for path, said in cases.items()}
    go_on(colony, 1)
    for order, said in given.items():
        done, answer = outcome(colony, order)
        assert done == "refused"
        assert said in answer
        assert "\n" not in answer
    assert len(colony.founder_paths()) == FOUNDERS
    told = [event.detail for _, event in colony.events() if event.kind == "intervention"]
    assert len(told) == 4
    assert all(") refused: " in detail for detail in told)


def test_a_tournament_is_held_between_generations_and_paid_for(colony: Archive) -> None:
    before = colony.generations()[-1]
    order = submit(colony, "tournament")
    go_on(colony, 1)
    done, answer = outcome(colony, order)
    assert done == "done"
    assert "met on 12 items that nobody had seen" in answer
    with colony.reading() as db:
        ((number, after),) = db.execute(
            "SELECT round, generation FROM rounds WHERE epoch IS NULL"
        ).fetchall()
        ((asked,),) = db.execute(
            "SELECT (SELECT count(*) FROM answers WHERE round = $n) + "
            "(SELECT count(*) FROM readings WHERE round = $n)",
            {"n": number},
        ).fetchall()
    assert after == before.generation
    paid = colony.generations()[before.generation]
    assert paid.evaluations == before.evaluations + asked
    assert colony.inconsistencies() == []


def test_what_makes_no_sense_is_refused_as_it_is_given(colony: Archive) -> None:
    champion = colony.generations()[-1].champion
    origin = colony.search(1).origin
    fossil = colony.models(living=False)[0]
    one, other, *_ = [model.id for model in commoners(colony)]

    def refused(said: str, kind: str, *models: int, argument: str | None = None) -> None:
        with pytest.raises(CommandError, match=said) as caught:
            submit(colony, kind, models, argument)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)

    refused("no command is 'dance'", "dance")
    refused("no model is #999", "pin", 999)
    refused(f"#{fossil.id} is a fossil since generation {fossil.died}", "mate", one, fossil.id)
    refused("capital is a founder, and founders keep their place", "pin", 2)
    refused("capital is a founder; the recipes of all others need it", "cull", 2)
    refused(f"#{champion} is the champion", "cull", champion)
    if origin != champion:
        refused(f"#{origin} is where the search stands", "cull", origin)
    refused("cannot mate with itself", "mate", one, one)
    refused("mate names 2 models, not 1", "mate", one)
    refused("is not pinned", "unpin", one)
    refused("not paused", "resume")
    for argument in ("0", "-5", "many", None):
        refused("a budget is a positive number", "budget", argument=argument)
    refused("where does the founder lie", "add-founder")
    assert all_commands(colony) == []

    submit(colony, "pin", [one])
    refused("is pinned already", "pin", one)
    refused("is pinned; unpin it first", "cull", one)
    submit(colony, "cull", [other])
    refused(f"#{other} is to be culled \\(command 2\\)", "mate", one, other)
    submit(colony, "pause")
    refused("is paused already", "pause")
    submit(colony, "resume")
    refused("not paused", "resume")


def test_pins_and_culls_leave_room_to_go_on(colony: Archive) -> None:
    named = [model.id for model in commoners(colony)]
    culled = copied(colony, "culled.duckdb")
    for model in named[:3]:
        submit(colony, "pin", [model])
    with pytest.raises(CommandError, match="of 6 living offspring 3 may be pinned, and 3 are"):
        submit(colony, "pin", [named[3]])
    go_on(colony, 2)
    assert {*named[:3]} <= {model.id for model in colony.models(living=True)}
    assert any(model.generation == 2 for model in colony.models(living=True))
    for model in named[:4]:
        submit(culled, "cull", [model])
    if len(named) > 4:
        with pytest.raises(CommandError, match="is one of 2 living offspring"):
            submit(culled, "cull", [named[4]])
    go_on(culled, 2)
    assert sum(model.kind == "offspring" for model in culled.models(living=True)) > 2


def test_who_was_to_mate_and_died_is_told(colony: Archive) -> None:
    one, other = [model.id for model in commoners(colony)[:2]]
    mating = submit(colony, "mate", [one, other])
    submit(colony, "cull", [one])
    go_on(colony, 1)
    assert outcome(colony, mating) == (
        "refused",
        f"#{one} is a fossil since generation 1 (culled); commands name living models only",
    )


def test_routes_take_commands_but_no_founder(
    routed_archive: Callable[[str], Archive], tmp_path: Path
) -> None:
    routed = fork(routed_archive("flow"), 1, tmp_path / "routed.duckdb")
    with pytest.raises(CommandError, match="paths through the layers of its founders"):
        submit(routed, "add-founder", argument=SUM)
    one = commoners(routed)[0].id
    submit(routed, "mate", [one, 1])
    go_on(routed, 2)
    child = [model for model in routed.models() if model.generation == 2][-1]
    assert {parent.id for parent in child.parents} == {one, 1}
    assert check(routed).damages == ()


def test_whether_a_campaign_runs_can_be_asked(colony: Archive) -> None:
    assert campaign_holder(colony.path) is None
    with campaign_lock(colony.path):
        holder = campaign_holder(colony.path)
    assert holder is not None
    assert holder.isdecimal()
    assert campaign_holder(colony.path) is None


def test_an_emitter_stands_still_in_genes_that_are_new() -> None:
    emitter = EvolutionStrategyEmitter(
        np.ones(3), np.full(3, 2.0), np.full(3, 3.0), np.full(3, 4.0), 5, 1, 2, 0.5
    )
    wider = with_genes(emitter, 5)
    for part, value in (("centre", 1), ("average", 2), ("gradient", 3), ("square", 4)):
        np.testing.assert_array_equal(getattr(wider, part), [value, value, value, 0, 0])
    assert (wider.steps, wider.level, wider.stalled, wider.stride) == (5, 1, 2, 0.5)
