"""What a campaign would fail of is said before anything is written; what is empty starts anew."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, ReformerConfig, ReformerModelWithLMHead

from arena.errors import TaskError
from arena.tasks import load_tasks
from lineage import Archive
from lineage.archive.unfinished import Effort, UnfinishedPart, why_no_generation, write_part
from population.campaign.item_sampling import item_pools
from population.campaign.opening_context import found_archive, open_context
from population.campaign.readiness import check_ready, cost_of_founding
from population.campaign.rehearsal import rehearsed
from population.config import Config
from population.errors import CampaignError, CheckpointError, ConfigError, PopulationError
from population.evaluation.devices import check_device
from tests.command_helpers import colony, failure
from tests.conftest import SHIPPED, toml
from tests.population.campaign.test_small_tasks import config_of, founders, write_task

__all__ = ["founders"]


@pytest.fixture
def config(founders: list[Path], tmp_path: Path) -> Config:
    return config_of(founders, [write_task(tmp_path, "t", 12)])


def written(config: Config, path: Path, **sections: dict[str, object]) -> Path:
    """A configuration as TOML."""
    content = {
        name: section | sections.get(name, {})
        for name, section in config.model_dump(exclude_unset=True, mode="json").items()
    } | {name: section for name, section in sections.items() if name not in config.model_fields_set}
    lines = []
    for name, section in content.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {toml(value)}" for key, value in section.items()]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("name", ["nonsense", "cuda:99", "meta", "cpu:banana", ""])
def test_a_device_that_cannot_compute_is_said_to(name: str) -> None:
    with pytest.raises(PopulationError, match="device"):
        check_device(name, "auto", torch.float32)


@pytest.mark.parametrize("dtype", ["auto", "float32", "bfloat16", "float16"])
def test_a_processor_computes_in_any_dtype(dtype: str) -> None:
    check_device("cpu", dtype, torch.float32)


def test_nothing_is_written_where_a_run_could_not_begin(config: Config, tmp_path: Path) -> None:
    """And the next run is free to choose otherwise."""
    path, archive = tmp_path / "my.toml", tmp_path / "a.duckdb"

    def refused(*options: str, **sections: dict[str, object]) -> str:
        written(config, path, **sections)
        said = failure("run", path, "--archive", archive, "--headless", *options)
        assert not archive.exists()
        return said

    assert "device 'cuda:99' cannot be used" in refused("--device", "cuda:99")
    assert "meta" in refused(run={"device": "meta"})
    assert "a budget of 5 item evaluations does not pay for the first" in refused("--budget", "5")
    assert "budget" in refused(budget={"item_evaluations": 5})
    paths = config.tasks.paths
    odd = refused(tasks={"paths": paths, "weights": {"f": 2}}).replace("'f'", "F")
    assert "[tasks] weights: no task is named F; there are t" in odd
    assert "'t' counts -1" in refused(tasks={"paths": paths, "weights": {"t": -1}})
    sealed = Path(config.tasks.paths[0]) / "test.jsonl"
    sealed.rename(sealed.with_suffix(".away"))
    assert "test.jsonl is missing" in refused()
    sealed.write_bytes(b"\xff not to be read")
    context = open_context(config)
    assert check_ready(context, config.budget, report=True)


def test_keyless_items_are_found_before_one_is_sampled(config: Config, tmp_path: Path) -> None:
    path = Path(config.tasks.paths[0]) / "selection.jsonl"
    path.write_text(path.read_text() + json.dumps({"prompt": "z="}) + "\n")
    with pytest.raises(
        TaskError, match=r"'t': 1 item cannot be asked; .*selection.jsonl:13, has no key .*jury"
    ):
        open_context(config).check_items()
    open_to_judges = config.model_copy(
        update={"search": config.search.model_copy(update={"merit": "jury"})}
    )
    assert open_context(open_to_judges).check_items() == []
    assert check_ready(open_context(open_to_judges), config.budget, report=False)
    assert load_tasks(config.tasks.paths)


def test_what_the_first_population_takes_is_what_is_asked_of_a_budget(config: Config) -> None:
    context = open_context(config)
    cost = cost_of_founding(context, item_pools(context.tasks, 0, config))
    for budget in (cost - 1, 1):
        with pytest.raises(CampaignError, match=f"takes about {cost:,}"):
            check_ready(
                context,
                config.budget.model_copy(update={"item_evaluations": budget}),
                report=False,
            )
    enough = config.budget.model_copy(update={"item_evaluations": cost})
    assert check_ready(context, enough, report=False)


def test_a_rehearsal_tells_what_a_budget_pays_for_and_writes_nothing(
    config: Config, tmp_path: Path
) -> None:
    limits = config.budget.model_copy(
        update={"item_evaluations": 50_000, "generations": None, "minutes": 1e6, "tokens": 40_000}
    )
    found = rehearsed(config, limits, report=False)
    items, minutes, tokens = found.pays
    assert items.generations == (50_000 - found.founding) // found.generation > 0
    assert items.seconds == pytest.approx(50_000 * found.candidate_s / found.items)
    assert minutes.seconds == pytest.approx(6e7, rel=1e-4)
    # A model reads each token but the last, once.
    sequences = open_context(config).evaluator.prepare_keys(open_context(config).split("search"))
    assert found.candidate_tokens == pytest.approx(
        found.items * sequences.tokens / sequences.size, rel=0.2
    )
    assert tokens.evaluations == 40_000 * found.items // found.candidate_tokens
    assert found.first_limit == tokens
    cramped = config.model_copy(update={"run": config.run.model_copy(update={"memory_gb": 1e-6})})
    with pytest.raises(CampaignError, match="do not fit: they take up to"):
        rehearsed(cramped, limits, report=False)
    path = written(config, tmp_path / "my.toml")
    archive = tmp_path / "a.duckdb"
    command = ("run", path, "--dry-run", "--no-report", "--archive", archive)
    code, told, _ = colony(*command)
    assert code == 0
    assert "a candidate" in told
    code, told, _ = colony(*command, "--json", "--tokens", 10**6)
    assert code == 0
    assert [one["limit"] for one in json.loads(told)["pays"]][-1] == "1,000,000 tokens"
    assert not archive.exists()


def test_an_archive_without_a_generation_is_started_anew(config: Config, tmp_path: Path) -> None:
    archive = tmp_path / "a.duckdb"
    found_archive(archive, open_context(config)).close()
    path = written(config, tmp_path / "my.toml")
    other = ("run", "--archive", archive, "--headless", "--no-report", "--generations", 1)
    code, _, said = colony(*other, "--seed", 7)
    assert code == 0
    assert "had no candidates yet, so it is started anew" in " ".join(said.split())
    assert Archive(archive).campaign()[0] == 7
    assert Archive(archive).generations()
    assert "was started with seed 7, not 8" in failure(*other, "--seed", 8)
    assert "another [search]" in failure(*other, written(config, path, search={"panel": 7}))


def test_candidates_that_are_kept_are_not_thrown_away(config: Config, tmp_path: Path) -> None:
    """Though no generation is complete: what they were bred by cannot be changed any more."""
    archive, path = tmp_path / "a.duckdb", tmp_path / "my.toml"
    colony_of = found_archive(archive, open_context(config))
    assert why_no_generation(colony_of).endswith("none was begun; colony run begins the first")
    write_part(colony_of, UnfinishedPart(24, Effort(6, 1.0)))
    assert why_no_generation(colony_of).startswith("generation 0 is being made: 0 of 24")
    colony_of.close()
    before = archive.read_bytes()
    run = ("run", "--archive", archive, "--headless", "--no-report", "--generations", 1)
    for options, what in (
        (("--seed", 7), "was started with seed 0, not 7"),
        (("--device", "cuda"), "was started on device 'cpu', not 'cuda'"),
        ((written(config, path, search={"panel": 7}),), "was started with another [search]"),
    ):
        said = failure(*run, *options)
        assert what in said
        assert "; 0 of 24 candidates are kept; " in said
        assert "choose another --archive or delete it" in said
        assert archive.read_bytes() == before


def test_without_another_wish_it_goes_on_as_it_was_started(config: Config, tmp_path: Path) -> None:
    archive = tmp_path / "a.duckdb"
    seeded = config.model_copy(update={"run": config.run.model_copy(update={"seed": 5})})
    found_archive(archive, open_context(seeded)).close()
    code, _, said = colony(
        "run", "--archive", archive, "--headless", "--no-report", "--generations", 1
    )
    assert code == 0
    assert "anew" not in said
    assert Archive(archive).campaign()[0] == 5


def test_what_is_asked_instead_has_to_be_possible(config: Config, tmp_path: Path) -> None:
    """Otherwise the archive stays as it was."""
    archive = tmp_path / "a.duckdb"
    found_archive(archive, open_context(config)).close()
    before = archive.read_bytes()
    for device in ("cuda:99", "meta"):
        assert "device" in failure("run", "--archive", archive, "--headless", "--device", device)
        assert archive.read_bytes() == before
    with pytest.raises(ConfigError):
        config_of([], [], run={"device": 3})


def test_shortages_are_told_as_a_campaign_starts_and_not_again(
    config: Config, tmp_path: Path
) -> None:
    archive, path = tmp_path / "a.duckdb", written(config, tmp_path / "my.toml")
    arguments = ("run", path, "--archive", archive, "--headless", "--no-report", "--generations")
    first = colony(*arguments, 1)[2]
    assert "note: a panel takes 72 search items of each task, and these have fewer: t has 12" in (
        " ".join(first.split())
    )
    assert "note:" not in colony(*arguments, 2)[2]


def test_what_transformers_cannot_do_with_a_founder_is_said_by_name(
    config: Config, tmp_path: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(SHIPPED / "founders" / "base")
    settings = {"vocab_size": len(tokenizer), "hidden_size": 16, "feed_forward_size": 16}
    layers = {"attn_layers": ["local"], "num_attention_heads": 2, "attention_head_size": 8}
    reformer = ReformerConfig(**settings, **layers, is_decoder=True, axial_pos_embds=False)
    folders = [tmp_path / "models" / name for name in ("a", "b")]
    for seed, folder in enumerate(folders):
        torch.manual_seed(seed)
        ReformerModelWithLMHead(reformer).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    code, said, error = colony("inspect", *folders, "--run", "--json")
    assert code == 0, error
    assert json.loads(said)[0]["runs"].startswith(
        "yes, without gradients: 'a': ReformerModelWithLMHead cannot take gradient steps here"
    )
    founders = config.founders.model_copy(update={"paths": [str(f) for f in folders], "base": None})
    context = open_context(config.model_copy(update={"founders": founders}))
    with pytest.raises(CheckpointError, match=r"ReformerModelWithLMHead.*set \[gradient\] steps"):
        check_ready(context, config.budget, report=False)
