"""The scripts of data/examples/smollm2, on a random model of the same kind and size of nothing."""

import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from population import Campaign, load_config

EXAMPLE = Path(__file__).parents[1] / "data" / "examples" / "smollm2"

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

TINY: dict[str, Any] = {
    "search": {"population": 4, "brood": 2, "items": 6, "panel": 12, "blocks": "half"},
    "gradient": {"steps": 2, "items": 6},
    "arena": {"items": 6, "judges": 1},
    "budget": {"generations": 1},
    "run": {"threads": 1},
}


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The modules of the example, which import each other as scripts in one folder do."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    names = ("skills", "make_tasks", "make_specialists", "compare_merges")
    return {name: __import__(name) for name in names}


def make_base(folder: Path) -> None:
    """A random Llama that reads bytes, with a chat template."""
    control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    ids = {token: number for number, token in enumerate(control + letters)}
    core = Tokenizer(models.BPE(vocab=ids, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        unk_token="<|endoftext|>",
        chat_template=TEMPLATE,
    ).save_pretrained(folder)
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=len(ids),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(shape).to(torch.bfloat16).save_pretrained(folder)


def test_numbers_are_written_in_french(scripts: dict[str, ModuleType]) -> None:
    french = scripts["skills"].french
    numbers = (17, 21, 30, 61, 70, 71, 80, 81, 91, 99)
    assert [french(number) for number in numbers] == [
        "dix-sept",
        "vingt et un",
        "trente",
        "soixante et un",
        "soixante-dix",
        "soixante et onze",
        "quatre-vingts",
        "quatre-vingt-un",
        "quatre-vingt-onze",
        "quatre-vingt-dix-neuf",
    ]
    feminine = [french(number, feminine=True) for number in (11, 21, 71, 81, 91)]
    assert [word.endswith("une") for word in feminine] == [False, True, False, True, False]


def test_no_question_is_in_two_splits_or_taught(scripts: dict[str, ModuleType]) -> None:
    skills = scripts["skills"]
    for name in skills.SKILLS:
        asked = [one.text for items in skills.items_of(name).values() for one in items]
        lessons = skills.lessons(name)
        assert len(asked) == sum(skills.SIZES.values())
        assert len({*asked, *(next(lessons).text for _ in range(200))}) == len(asked) + 200


@pytest.mark.slow
def test_the_walk_through_in_small(
    scripts: dict[str, ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teaching, comparing = scripts["make_specialists"], scripts["compare_merges"]
    make_base(tmp_path / "models" / "base")
    few = teaching.Teaching(batch=2, asked=2)
    for skill in ("arithmetic", "json"):
        out = tmp_path / "models" / "adapters" / skill
        teaching.teach(skill, tmp_path / "models" / "base", out, 2, few)
    assert "json: exact match 0.00 before, 0.00 after" in capsys.readouterr().out
    scripts["make_tasks"].make_tasks(tmp_path / "tasks", {"search": 4, "selection": 2, "test": 2})
    asked = tomllib.loads((EXAMPLE / "smollm2.toml").read_text())
    for section, settings in TINY.items():
        asked[section] = asked.get(section, {}) | settings
    asked["founders"]["paths"] = [f"{tmp_path}/{path}" for path in ("models/base",)]
    asked["founders"]["paths"].append(f"{tmp_path}/models/base+{tmp_path}/models/adapters/*")
    asked["tasks"]["paths"] = [f"{tmp_path}/tasks/*"]
    campaign = Campaign.start(tmp_path / "smollm2.duckdb", load_config(asked))
    campaign.run()
    few_merges = {"ties": [{"density": 0.5, "lambda": 1.0}], "karcher": [{}]}
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    comparing.compare(campaign, comparing.Comparison(campaign, scratch), few_merges)
    assert "karcher" in capsys.readouterr().out.partition("lead")[2]
