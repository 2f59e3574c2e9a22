"""The card beside a merge tells its origin and licence; its chat template is the one asked for."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoTokenizer

from population.merging.chat_templates import NAMED
from population.merging.model_card import origin_of
from tests.merge_helpers import linear, merged, recipe_of, refused
from tests.model_zoo import ABC, STEPS, Zoo


def carded(zoo: Zoo, folder: Path, **licences: str | None) -> dict[str, Path]:
    """Copies of models, each with a card that states a licence (or none)."""
    sources = {}
    for number, (name, licence) in enumerate(licences.items()):
        sources[name] = folder / name
        shutil.copytree(zoo("llama", ABC[number]), sources[name])
        if licence is not None:
            front = f"---\nlicense: {licence}\ntags: [x]\n---\n# Model\n"
            (sources[name] / "README.md").write_text(front)
    return sources


def front_of(folder: Path) -> tuple[dict[str, Any], str]:
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(front), text


def test_the_card_says_where_it_comes_from(zoo: Zoo, tmp_path: Path) -> None:
    sources = carded(zoo, tmp_path / "in", math="apache-2.0", base="apache-2.0")
    step = {
        "method": "task_arithmetic",
        "base": "base",
        "models": ["math"],
        "parameters": {"weight": 1},
    }
    made = merged(recipe_of(sources, step), tmp_path / "tuned")
    front, text = front_of(tmp_path / "tuned")
    assert front["base_model_relation"] == "merge"
    assert front["base_model"] == [str(sources["base"]), str(sources["math"])]
    assert front["license"] == "apache-2.0"
    assert "# tuned" in text
    assert f"| base | {sources['base']} | apache-2.0 |" in text
    assert "task_arithmetic" in text
    assert made.weights_sha256 in text


@pytest.mark.parametrize(
    ("licences", "license_", "conflict"),
    [
        ({"a": "mit", "b": "llama3"}, "other", True),
        ({"a": "mit", "b": None}, "other", False),
        ({"a": None, "b": None}, None, False),
        ({"a": "[oops", "b": "[]"}, None, False),
    ],
)
def test_licences_bind_the_merge(
    licences: dict[str, str | None],
    license_: str | None,
    conflict: bool,
    zoo: Zoo,
    tmp_path: Path,
) -> None:
    sources = carded(zoo, tmp_path / "in", **licences)
    said: list[str] = []
    recipe = recipe_of(sources, linear({"a": 0.5, "b": 0.5}))
    merged(recipe, tmp_path / "out", say=said.append)
    front, text = front_of(tmp_path / "out")
    assert front.get("license") == license_
    assert ("different licences (llama3, mit)" in text) == conflict
    assert any("different licences (llama3, mit)" in line for line in said) == conflict
    if None in licences.values():
        assert "not stated" in text


def test_chat_templates_by_name_by_text_and_by_majority(zoo: Zoo, tmp_path: Path) -> None:
    sources = carded(zoo, tmp_path / "in", a=None, b=None, c=None)
    step = STEPS["linear"][0]

    def template(choice: str, name: str) -> str:
        merged(recipe_of(sources, step, chat_template=choice), tmp_path / name)
        found: str = AutoTokenizer.from_pretrained(tmp_path / name).chat_template
        return found

    refused(lambda: template("auto", "none"), "no source has a chat template")
    assert not (tmp_path / "none").exists()
    refused(lambda: template("nonsense", "none"), "'nonsense'", "auto, chatml, alpaca")
    text = "{% for message in messages %}<{{ message['content'] }}>{% endfor %}"
    assert template(text, "text") == text
    assert template("chatml", "named") == NAMED["chatml"]
    (sources["a"] / "chat_template.jinja").write_text("{{ 'A' }}")
    # Most models on the hub still have theirs in tokenizer_config.json.
    for name in "bc":
        path = sources[name] / "tokenizer_config.json"
        path.write_text(
            json.dumps(json.loads(path.read_text()) | {"chat_template": "{{ 'majority' }}"})
        )
    assert template("auto", "auto") == "{{ 'majority' }}"


@pytest.mark.parametrize("name", NAMED)
def test_named_templates_render(name: str, zoo: Zoo, tmp_path: Path) -> None:
    step = {"method": "passthrough", "models": ["a"]}
    merged(recipe_of({"a": zoo("llama")}, step, chat_template=name), tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    talk = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hi."}]
    said = tokenizer.apply_chat_template(talk, tokenize=False)
    assert "Hello?" in said
    assert "Hi." in said
    asked = tokenizer.apply_chat_template(talk[:1], tokenize=False, add_generation_prompt=True)
    assert said.startswith(asked[: len(asked) // 2])
    assert math.isfinite(len(asked))


@pytest.mark.parametrize(
    ("path", "config", "expected"),
    [
        ("org/name", {}, "org/name"),
        ("/data/hub/models--org--my-name/snapshots/0a1b2c", {}, "org/my-name"),
        ("/data/SmolLM2", {"_name_or_path": "HuggingFaceTB/SmolLM2"}, "HuggingFaceTB/SmolLM2"),
        ("/data/mine", {"_name_or_path": "HuggingFaceTB/SmolLM2"}, "/data/mine"),
        ("/data/mine", {"_name_or_path": "/tmp/x"}, "/data/mine"),
        (str(Path.home() / "m" / "a"), {}, "~/m/a"),
        ("org/base+/data/lora", {}, "org/base+/data/lora"),
    ],
)
def test_a_source_is_named_as_others_find_it(
    path: str, config: dict[str, str], expected: str
) -> None:
    assert origin_of(path, config) == expected


def test_names_break_no_table_of_the_card(zoo: Zoo, tmp_path: Path) -> None:
    sources = carded(zoo, tmp_path / "in", math="mit")
    odd = (tmp_path / "in" / "math").rename(tmp_path / "in" / "a|b <i>[x]")
    merged(recipe_of({"a|b": odd}, {"method": "passthrough", "models": ["a|b"]}), tmp_path / "out")
    row = next(line for line in front_of(tmp_path / "out")[1].splitlines() if "a\\|b <" in line
               or "a\\|b &lt;i>[x]" in line)  # fmt: skip
    assert row.replace("\\|", "").count("|") == 4
    assert sources
