"""GGUF files: what transformers reads of them is the model that was written."""

import json
from pathlib import Path

import gguf
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from population.errors import CheckpointError, PopulationError
from population.models.gguf_conversion import convert_gguf
from population.models.gguf_tokenizer import CUTS, gguf_tokenizer
from population.models.gguf_writing import GgufType, write_gguf
from tests.speakers import CHAT, speaker

TEXT = "the cat is red! one two three paris."


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("talker")
    speaker(folder, "bytes", 3, template=CHAT)
    return folder


def changed(talker: Path, folder: Path, name: str, change: dict[str, object]) -> Path:
    for path in talker.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(content | change))
    return folder


@pytest.mark.parametrize("kind", ["f16", "q8_0"])
def test_what_is_read_back_answers_the_same(talker: Path, tmp_path: Path, kind: GgufType) -> None:
    target = tmp_path / "talker.gguf"
    write_gguf(talker, target, kind)
    before = AutoModelForCausalLM.from_pretrained(talker, dtype=torch.float32)
    after = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file=target.name, dtype=torch.float32
    )
    tokenizer = AutoTokenizer.from_pretrained(talker)
    back = AutoTokenizer.from_pretrained(tmp_path, gguf_file=target.name)
    ids = tokenizer.encode(TEXT)
    assert tokenizer.unk_token_id not in ids
    assert back.encode(TEXT) == ids
    assert back.chat_template == tokenizer.chat_template
    assert (back.bos_token, back.eos_token) == (tokenizer.bos_token, tokenizer.eos_token)
    types = gguf.GGMLQuantizationType
    with torch.inference_mode():
        for weight in before.parameters():
            if weight.ndim > 1:  # as the format rounds it; Q8_0 takes 32 numbers at a time
                stored = types.F16 if weight.shape[-1] % 32 else types[kind.upper()]
                rounded = gguf.dequantize(gguf.quantize(weight.numpy(), stored), stored)
                weight.copy_(torch.from_numpy(rounded))
        logits, read = (model(torch.tensor([ids])).logits for model in (before, after))
    torch.testing.assert_close(read, logits, atol=1e-5, rtol=1e-4)
    if kind == "f16":
        founder = convert_gguf(target, tmp_path / "cache", lambda _: None)
        assert AutoTokenizer.from_pretrained(founder).encode(TEXT) == ids
    with pytest.raises(PopulationError, match="exists already"):
        write_gguf(talker, target, kind)


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("config.json", {"model_type": "gpt_neox"}, "is a gpt_neox model; as GGUF those of llama"),
        ("config.json", {"mlp_bias": True}, r"has biases in feed-forward layers \(mlp_bias\)"),
        (
            "config.json",
            {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
            r"scales its positions \(linear\)",
        ),
        (
            "tokenizer.json",
            {"pre_tokenizer": {"type": "Whitespace"}},
            r"here \(Whitespace\)",
        ),
        (
            "tokenizer.json",
            {"normalizer": {"type": "Lowercase"}},
            "cuts texts in a way",
        ),
    ],
)
def test_what_is_not_written_is_refused_by_name(
    talker: Path, tmp_path: Path, name: str, change: dict[str, object], complaint: str
) -> None:
    other = changed(talker, tmp_path, name, change)
    with pytest.raises(CheckpointError, match=complaint):
        write_gguf(other, tmp_path / "m.gguf", "f16")
    assert not list(tmp_path.glob("*.gguf*"))


@pytest.mark.parametrize("name", list(CUTS))
def test_every_named_way_to_cut_texts_is_known_again(
    talker: Path, tmp_path: Path, name: str
) -> None:
    cut = {"pre_tokenizer": {"type": "Sequence", "pretokenizers": CUTS[name]}}
    other = changed(talker, tmp_path, "tokenizer.json", cut)
    found = gguf_tokenizer(other, 10_000)
    assert found.pre == name
    assert found.tokens[-1] == "[PAD9999]"
    assert len(found.tokens) == len(found.types) == 10_000
