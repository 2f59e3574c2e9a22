"""The command line as a person meets it: help, one-line errors, exit codes, JSON."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lineage import Archive
from population.analysis.export import recipe_of_model
from population.campaign.opening_context import reopen_context
from population.config import Config, load_config, parse_config, template
from population.errors import ConfigError
from population.merging.recipe_files import read_recipe
from tests.archives import copied
from tests.command_helpers import colony, failure
from tests.conftest import SHIPPED, small_toml

COMMANDS = (
    "run",
    "report",
    "models",
    "show",
    "operators",
    "lineage",
    "ancestry",
    "kin",
    "skills",
    "lm-eval",
    "ask",
    "export",
    "check",
    "init",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command: str) -> None:
    code, said, _ = colony(command, "--help")
    assert code == 0
    assert "Examples" in said
    assert f"colony {command}" in said


def test_the_installed_command_starts() -> None:
    script = Path(sys.executable).with_name("colony")
    done = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
    assert "A population of merged language models" in done.stdout


def test_models_show_lineage(small_archive: Archive) -> None:
    path = small_archive.path
    code, said, _ = colony("models", "--archive", path, "--json")
    assert code == 0
    rows = json.loads(said)
    assert sum(row["champion"] for row in rows) == 1
    assert all(row["living"] for row in rows)
    everyone = json.loads(colony("models", "--all", "--archive", path, "--json")[1])
    assert len(everyone) == len(small_archive.models()) > len(rows)
    code, said, _ = colony("show", "champion", "--archive", path, "--json")
    shown = json.loads(said)
    assert shown["id"] == small_archive.generations()[-1].champion
    newest = small_archive.models()[-1].id
    shown = json.loads(colony("show", newest, "--archive", path, "--json")[1])
    recipe = shown["recipe"]
    assert recipe["founders"] == ["capital", "cipher", "double"]
    assert recipe["blocks"] == [block.name for block in small_archive.blocks()]
    shape = len(recipe["founders"]), len(recipe["blocks"])
    genome = small_archive.genomes([newest])[0]
    assert recipe["coefficients"] == genome.reshape(shape).tolist()
    assert "steps" not in recipe
    held = shown["founders_by_weight"]
    assert set(held["shares"]) == set(recipe["founders"])
    assert sum(held["shares"].values()) == pytest.approx(1.0)
    assert 1.0 <= held["effective"] <= len(recipe["founders"])
    assert held["measure"] == "length"
    printed = " ".join(colony("show", newest, "--archive", path)[1].split())
    assert f"{next(iter(held['shares']))} {next(iter(held['shares'].values())):.0%}" in printed
    assert f"({held['effective']:.1f} effective)" in printed
    founder = json.loads(colony("show", "base", "--archive", path, "--json")[1])
    assert founder["recipe"] is None
    assert founder["founders_by_weight"] is None
    code, said, _ = colony("lineage", newest, "--archive", path)
    assert code == 0
    assert said[2:].startswith(f"#{newest}  ")
    assert "founders by descent:" in said
    family = json.loads(colony("lineage", newest, "--archive", path, "--json")[1])
    assert sum(family["founder_shares"].values()) == pytest.approx(1.0)


@pytest.mark.parametrize("space", ["flow", "both"])
def test_a_routes_recipe_is_a_path(space: str, routed_archive: Callable[[str], Archive]) -> None:
    """It is read from the archive alone, and says what the context makes of the genome."""
    archive = routed_archive(space)
    context = reopen_context(archive)
    sources = ["base", "capital", "cipher", "double", "merged"]
    for model in [m for m in archive.models() if m.kind == "offspring"][::5]:
        code, said, _ = colony("show", model.id, "--archive", archive.path, "--json")
        assert code == 0
        shown = json.loads(said)
        recipe = shown["recipe"]
        assert shown["founders_by_weight"] is None
        genome = archive.genomes([model.id])[0]
        route = context.factory.space.route(genome)
        assert recipe["steps"] == [[sources[s.model], s.layer, s.scale] for s in route.steps]
        if space == "flow":
            assert set(recipe) == {"steps"}
        else:
            shape = len(recipe["founders"]), len(recipe["blocks"])
            coefficients = genome[: shape[0] * shape[1]].reshape(shape)
            assert recipe["coefficients"] == coefficients.tolist()
    code, said, _ = colony("show", "champion", "--archive", archive.path)
    assert code == 0
    assert "path through layers" in said
    assert ("in the merged model" in said) == (space == "both")


def test_what_is_known_of_operators(small_archive: Archive, tmp_path: Path) -> None:
    path = small_archive.path
    code, said, _ = colony("operators", "--archive", path, "--json")
    assert code == 0
    rows = json.loads(said)
    known = small_archive.operators(3)
    assert [row["operator"] for row in rows] == [record.operator for record in known]
    assert set(rows[0]) == {
        "operator",
        "expected",
        "tries",
        "successes",
        "cost",
        "births",
        "living",
    }
    assert sum(row["expected"] for row in rows) == pytest.approx(1.0)
    everyone = small_archive.models()
    for row in rows:
        mine = [model for model in everyone if model.operator == row["operator"]]
        assert row["births"] == len(mine)
        assert row["living"] == sum(model.living for model in mine)
        # What was tried fades, what was born stays.
        assert row["successes"] <= row["tries"] <= row["births"]
        assert (row["cost"] > 0) == (row["births"] > 0)
    assert sum(row["births"] for row in rows) == 3 * 3  # of six children three are the emitter's
    code, said, _ = colony("operators", "--archive", path)
    assert code == 0
    assert "split_point" in said
    young = tmp_path / "young.duckdb"
    Archive.create(young, seed=0, config={}, founders=[], basis=[], blocks=[])
    assert json.loads(colony("operators", "--archive", young, "--json")[1]) == []


@pytest.mark.parametrize(
    ("command", "expected"),
    [(["models"], "base"), (["show", "27"], "layer 3 attention"), (["show", "base"], "founder")],
)
def test_tables_are_for_people(command: list[str], expected: str, small_archive: Archive) -> None:
    code, said, _ = colony(*command, "--archive", small_archive.path)
    assert code == 0
    assert expected in said


def test_check_and_export(small_archive: Archive, tmp_path: Path) -> None:
    path = small_archive.path
    code, said, _ = colony("check", "--archive", path, "--sample", 4, "--json")
    assert (code, json.loads(said)["replayed"]) == (0, 4)
    code, said, _ = colony("export", "champion", tmp_path / "out", "--archive", path)
    assert code == 0
    assert (tmp_path / "out" / "model.safetensors").exists()
    code, _, said = colony("export", "champion", tmp_path / "out", "--archive", path)
    assert code == 1
    assert "exists already" in said


@pytest.mark.parametrize(
    ("space", "why"), [("flow", "mergekit has no scales"), ("both", "mergekit's YAML has one step")]
)
def test_routes_are_exported_as_json_and_refused_as_yaml(
    space: str, why: str, routed_archive: Callable[[str], Archive], tmp_path: Path
) -> None:
    archive = copied(routed_archive(space), tmp_path / "colony.duckdb")
    models = [model for model in archive.models() if model.kind == "offspring"]
    context = reopen_context(archive)
    steps = {model.id: recipe_of_model(archive, context, model).steps for model in models}
    model = next(
        model
        for model in models
        if len(steps[model.id]) > 1
        or (space == "flow" and any(scale != 1 for *_, scale in steps[model.id][0].path))
    )
    to = tmp_path / "recipe"
    code, _, _ = colony(
        "export", model.id, to.with_suffix(".json"), "--archive", archive.path, "--recipe", "json"
    )
    assert code == 0
    (row,) = archive.models(ids=[model.id])
    assert read_recipe(to.with_suffix(".json")).output.weights_sha256 == row.weights_sha256
    assert why in failure(
        "export", model.id, to.with_suffix(".yml"), "--archive", archive.path, "--recipe", "yaml"
    )
    assert not to.with_suffix(".yml").exists()


def test_what_is_not_there_is_said(small_archive: Archive, tmp_path: Path) -> None:
    assert "no archive at" in failure("models", "--archive", tmp_path / "none.duckdb")
    assert "no model '99999'" in failure("show", "99999", "--archive", small_archive.path)
    (tmp_path / "text.duckdb").write_text("hello " * 5000)
    assert "is no archive but some other kind of file" in failure(
        "models", "--archive", tmp_path / "text.duckdb"
    )
    assert "no configuration at" in failure(
        "run", tmp_path / "no.toml", "--archive", tmp_path / "x.duckdb"
    )
    assert "does not exist; make it first" in failure(
        "run", "--archive", tmp_path / "no" / "a.duckdb"
    )


Tweak = Callable[[Path], dict[str, dict[str, object]]]


def missing_founder(folder: Path) -> dict[str, dict[str, object]]:
    return {"founders": {"paths": [str(folder / "nowhere")]}}


def wrong_base(folder: Path) -> dict[str, dict[str, object]]:
    return {"founders": {"base": "bose"}}


def truncated_founder(folder: Path) -> dict[str, dict[str, object]]:
    shutil.copytree(SHIPPED / "founders", folder / "founders")
    weights = folder / "founders" / "base" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    return {"founders": {"paths": [str(folder / "founders" / "*")]}}


def no_operator_for_paths(folder: Path) -> dict[str, dict[str, object]]:
    return {"search": {"space": "flow", "operators": {"slerp": 1.0}}}


def too_short_for_paths(folder: Path) -> dict[str, dict[str, object]]:
    return {"search": {"space": "both", "longest": 2}}


def broken_task(folder: Path) -> dict[str, dict[str, object]]:
    task = next(path for path in (SHIPPED / "tasks").iterdir() if path.is_dir())
    shutil.copytree(task, folder / "task")
    with (folder / "task" / "selection.jsonl").open("a") as file:
        file.write("{oops\n")
    return {"tasks": {"paths": [str(folder / "task")]}}


@pytest.mark.parametrize(
    ("tweak", "complaint"),
    [
        (missing_founder, "fits no folder"),
        (wrong_base, "no founder is named 'bose'; there are base"),
        (truncated_founder, "model.safetensors is truncated or not safetensors"),
        (broken_task, "selection.jsonl:41: not JSON"),
        (no_operator_for_paths, "[search] operators: a path has no coefficients for slerp"),
        (too_short_for_paths, "routes of 2 layers at most leave no room"),
    ],
)
def test_bad_input_is_one_clear_line_and_leaves_nothing(
    tweak: Tweak, complaint: str, tasks_folder: Path, tmp_path: Path
) -> None:
    config = tmp_path / "bad.toml"
    config.write_text(small_toml(tasks_folder, **tweak(tmp_path)))
    archive = tmp_path / "colony.duckdb"
    assert complaint in failure("run", config, "--archive", archive, "--headless")
    assert not archive.exists()


def test_an_archive_keeps_what_it_was_started_with(
    small_archive: Archive, small_config: Path, tmp_path: Path, tasks_folder: Path
) -> None:
    path = small_archive.path
    assert "was started with seed 0, not 5" in failure("run", "--archive", path, "--seed", 5)
    other = tmp_path / "other.toml"
    other.write_text(small_toml(tasks_folder, search={"population": 9}))
    assert "was started with another [search]" in failure("run", other, "--archive", path)
    other.write_text(small_toml(tasks_folder, gate={"enabled": False}))
    assert "was started with another [gate]" in failure("run", other, "--archive", path)


# The configuration


def test_the_template_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    code, said, _ = colony("init", path)
    assert code == 0
    assert f"colony run {path}" in "".join(said.splitlines())
    assert load_config(path).model_dump(exclude={"founders"}) == load_config(None).model_dump(
        exclude={"founders"}
    )
    assert "exists already" in failure("init", path)
    assert template("x.toml").count("\n#") > len(Config.model_fields)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"serch": {}}, "unknown key 'serch'; did you mean 'search'"),
        ({"search": {"popluation": 4}}, r"unknown key 'popluation' in \[search\]; did you mean"),
        ({"search": {"population": 1}}, "search.population: .* greater than or equal to 4, got 1"),
        ({"search": {"blocks": "atoms"}}, "search.blocks: .*'layer', 'half', .* or 'slice'"),
        ({"search": {"brood": 99}}, r"search: .*brood \(99\) cannot exceed population \(\d+\)$"),
        ({"search": {"items": 1}}, "search.items: .* greater than or equal to 2, got 1"),
        ({"search": {"mutation": [0.0, 0.1]}}, "search: .*mutation .* must be positive"),
        ({"search": {"operators": {"blend": 0}}}, "search: .*operators: .* one must be positive$"),
        (
            {"search": {"operators": {"magic": 1}}},
            "search: .*unknown name 'magic'; known are blend",
        ),
        ({"search": {"space": "time"}}, "search.space: .*'parameter', 'flow' or 'both'"),
        ({"budget": {"generations": "many"}}, "budget.generations: .*integer.*got 'many'"),
    ],
)
def test_a_wrong_setting_is_named(content: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        parse_config(content, "my.toml")


def test_broken_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("[search\n")
    with pytest.raises(ConfigError, match=r"bad\.toml"):
        load_config(path)


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "models" / "a").mkdir(parents=True)
    path = tmp_path / "my.toml"
    path.write_text('[founders]\npaths = ["models/*"]\n')
    here = Path.cwd()
    os.chdir("/")
    try:
        assert load_config(path).founders.paths == [str(tmp_path / "models" / "a")]
    finally:
        os.chdir(here)


def test_a_model_is_shown_by_its_sha256_or_else_by_its_fingerprint(small_archive: Archive) -> None:
    where = ("--archive", small_archive.path)
    for model in (small_archive.find("champion"), small_archive.models(living=False)[0]):
        said = colony("show", model.id, *where)[1]
        told = json.loads(colony("show", model.id, *where, "--json")[1])
        assert (told["weights_sha256"], told["fingerprint"]) == (
            model.weights_sha256,
            model.fingerprint,
        )
        known = model.weights_sha256 or model.fingerprint
        assert known is not None
        assert known[:32] in said
        assert ("fingerprint" in said) == (model.weights_sha256 is None)
        assert str(model.fingerprint)[:12] in str(colony("find", f"hash ~ {known[:8]}", *where,
                                                         "--json")[1])  # fmt: skip
