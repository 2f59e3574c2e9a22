"""The scripts of data/examples/smollm2 on a tiny random model of the same kind."""

import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from population import Campaign, load_config
from population.merging.model_card import licence_of

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
    names = ("skills", "make_base", "make_tasks", "make_specialists", "compare_merges")
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
    few_items = {"search": 4, "selection": 2, "test": 2}
    scripts["make_tasks"].make_tasks(tmp_path / "tasks", few_items)
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


def make_gguf(path: Path) -> np.ndarray:
    """A GGUF file of a random Llama of two layers, and its embeddings."""
    control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokens = [*control, *sorted(pre_tokenizers.ByteLevel.alphabet()), "ĠĠ"]
    kinds = [gguf.TokenType.CONTROL] * len(control)
    kinds += [gguf.TokenType.NORMAL] * (len(tokens) - len(control))
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(256)
    writer.add_embedding_length(32)
    writer.add_block_count(2)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(1e5)
    writer.add_rope_dimension_count(16)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(["Ġ Ġ"])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_chat_template(TEMPLATE)
    rng = np.random.default_rng(0)
    shapes = {"token_embd": (len(tokens), 32), "output_norm": (32,)}
    for layer in range(2):
        own = {
            "attn_norm": (32,), "ffn_norm": (32,), "attn_q": (32, 32), "attn_k": (16, 32),
            "attn_v": (16, 32), "attn_output": (32, 32), "ffn_gate": (64, 32),
            "ffn_up": (64, 32), "ffn_down": (32, 64),
        }  # fmt: skip
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in own.items()}
    values = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    for name, value in values.items():
        writer.add_tensor(f"{name}.weight", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return values["token_embd"]


@pytest.mark.slow
def test_a_base_is_made_of_a_gguf_file(
    scripts: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    embeddings = make_gguf(tmp_path / "small.gguf")
    out = tmp_path / "base"
    monkeypatch.setattr("sys.argv", ["make_base.py", str(out), "--gguf", f"{tmp_path}/small.gguf"])
    scripts["make_base"].main()
    model = AutoModelForCausalLM.from_pretrained(out)
    assert model.dtype == torch.bfloat16
    stored = model.model.embed_tokens.weight
    assert torch.equal(stored, torch.from_numpy(embeddings).bfloat16())
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert tokenizer.tokenize("a  56") == ["a", "ĠĠ", "5", "6"]
    chat = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert chat == "<|im_start|>user\nHi<|im_end|>\n"
    assert licence_of(out) == "apache-2.0"
    with pytest.raises(SystemExit, match="exists"):
        scripts["make_base"].main()
