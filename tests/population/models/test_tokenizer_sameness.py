"""Tokenizers are compared by what they do to texts, as the libraries read their files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from population.errors import CheckpointError
from population.merging.vocabulary import read_tokenizer
from population.models.tokenizer_sameness import same_tokens

Change = Callable[[dict[str, Any]], Any]
TEXT = "abcd ab dcba<x> <s>ab"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    vocabulary = {t: i for i, t in enumerate(["<s>", "</s>", *"abcdĠ", "ab", "cd", "abcd", "Ġab"])}
    merges = [("a", "b"), ("c", "d"), ("ab", "cd"), ("Ġ", "ab")]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in ("<s>", "</s>")])
    tokenizer.add_tokens([AddedToken("<x>", special=False)])
    folder = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    return folder


@pytest.fixture
def compare(saved: Path, tmp_path: Path) -> Callable[..., bool]:
    """Whether the saved tokenizer is the same as one whose files are changed."""

    def compared(change: Change = lambda _: None, settings: Change = lambda _: None) -> bool:
        other = tmp_path / "other"
        shutil.copytree(saved, other, dirs_exist_ok=True)
        for name, edit in (("tokenizer.json", change), ("tokenizer_config.json", settings)):
            content = json.loads((saved / name).read_text())
            edit(content)
            (other / name).write_text(json.dumps(content, indent=1))
        found = same_tokens(saved, other, ("a", "b"))
        assert found == same_tokens(other, saved, ("b", "a"))
        one, two = (AutoTokenizer.from_pretrained(folder) for folder in (saved, other))
        if found:
            assert one(TEXT)["input_ids"] == two(TEXT)["input_ids"]
            assert one.get_vocab() == two.get_vocab()
        return found

    return compared


def older(content: dict[str, Any]) -> None:
    model = content["model"]
    model["merges"] = [" ".join(pair) for pair in model["merges"]]
    for key in ("ignore_merges", "byte_fallback", "dropout", "fuse_unk", "type"):
        model.pop(key, None)


def turned(content: dict[str, Any]) -> None:
    content["added_tokens"].reverse()
    model = content["model"]
    model["vocab"] = dict(reversed(model["vocab"].items()))
    content["model"] = dict(reversed(model.items()))


SAME: dict[str, Change] = {
    "as it is": lambda _: None,
    "older merges, defaults left out": older,
    "another order": turned,
    "padding": lambda c: c.update(padding={
        "strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "<s>"}),
    "truncation": lambda c: c.update(truncation={
        "direction": "Right", "max_length": 500, "strategy": "LongestFirst", "stride": 0}),
    "offsets": lambda c: c["pre_tokenizer"].update(trim_offsets=False),
    "in a sequence": lambda c: c.update(
        pre_tokenizer={"type": "Sequence", "pretokenizers": [c["pre_tokenizer"]]}),
    "a flag left out": lambda c: c["model"].pop("byte_fallback"),
}  # fmt: skip
OTHER: dict[str, Change] = {
    "merges in another order": lambda c: c["model"]["merges"].reverse(),
    "a merge gone": lambda c: c["model"]["merges"].pop(),
    "ids exchanged": lambda c: c["model"]["vocab"].update(a=3, b=2),
    "ignore_merges": lambda c: c["model"].update(ignore_merges=True),
    "a normalizer": lambda c: c.update(normalizer={"type": "Lowercase"}),
    "a prefix space": lambda c: c["pre_tokenizer"].update(add_prefix_space=True),
    "an added token gone": lambda c: c["added_tokens"].pop(),
    "an added token that strips": lambda c: c["added_tokens"][-1].update(lstrip=True),
}


@pytest.mark.parametrize("kind", SAME)
def test_spellings_of_one_tokenizer(kind: str, compare: Callable[..., bool]) -> None:
    assert compare(SAME[kind])


@pytest.mark.parametrize("kind", OTHER)
def test_other_tokenizers(kind: str, compare: Callable[..., bool]) -> None:
    assert not compare(OTHER[kind])


def test_settings_beside_the_vocabulary(compare: Callable[..., bool]) -> None:
    assert compare(settings=lambda c: c.update(chat_template="{{ x }}", model_max_length=9))
    assert compare(settings=lambda c: c.update(pad_token="</s>"))
    assert not compare(settings=lambda c: c.update(pad_token="<pad>"))
    decoder = {"content": "<x>", "special": False, "normalized": True}
    assert compare(settings=lambda c: c.update(added_tokens_decoder={"11": decoder}))
    strips = {"11": decoder | {"lstrip": True}}
    assert not compare(settings=lambda c: c.update(added_tokens_decoder=strips))


@pytest.mark.parametrize("listed", [False, True])
def test_older_files_count_where_transformers_reads_them(
    listed: bool, saved: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(saved, other)
    (other / "special_tokens_map.json").write_text(json.dumps({"pad_token": "<pad>"}))
    (other / "added_tokens.json").write_text(json.dumps({"<y>": 30, "<z>": 12}))
    if listed:
        path = other / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"added_tokens_decoder": {}}))
    loaded = AutoTokenizer.from_pretrained(other)
    assert ("<pad>" in loaded.get_vocab()) != listed
    assert read_tokenizer(other, "m", 99).tokens == loaded.get_vocab()
    assert same_tokens(saved, other, ("a", "b")) == listed


def test_a_missing_or_broken_tokenizer_is_blamed(saved: Path, tmp_path: Path) -> None:
    def refused(said: str) -> None:
        for folders, names in (((saved, tmp_path), "ab"), ((tmp_path, saved), "ba")):
            with pytest.raises(CheckpointError, match=said) as caught:
                same_tokens(*folders, tuple(names))
            assert "\n" not in str(caught.value)

    refused("'b' has no tokenizer in")
    for content, said in (
        ("{", "cannot be read"),
        ("[]", "is no JSON object"),
        ("{}", "is no tokenizer"),
        ("\ufeff{}", "byte-order mark"),
        ("[" * 100_000, "nested too deep"),
        ('{"model": {"type": "Nonsense"}}', "is no tokenizer"),
        ('{"model": "\\ud800"}', "half of a character"),
    ):
        (tmp_path / "tokenizer.json").write_text(content)
        refused(said)


def test_a_vocabulary_without_a_fast_tokenizer(saved: Path, tmp_path: Path) -> None:
    """Older files are the same byte by byte, or by what transformers makes of them."""
    one, other = tmp_path / "one", tmp_path / "other"
    content = json.loads((saved / "tokenizer.json").read_text())
    for folder in (one, other):
        folder.mkdir()
        (folder / "vocab.json").write_text(json.dumps(content["model"]["vocab"]))
        merges = "".join(f"{left} {right}\n" for left, right in content["model"]["merges"])
        (folder / "merges.txt").write_text("#version: 0.2\n" + merges)
        config = {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<s>", "eos_token": "</s>"}
        config |= {"unk_token": "<s>"}
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    assert same_tokens(one, other, ("a", "b"))
    fast = tmp_path / "fast"
    AutoTokenizer.from_pretrained(other).save_pretrained(fast)
    (fast / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    assert not (fast / "vocab.json").exists()
    assert same_tokens(one, fast, ("a", "b"))
    (other / "merges.txt").write_text("#version: 0.2\n" + merges.replace("a b\n", ""))
    assert not same_tokens(one, other, ("a", "b"))
    assert not same_tokens(fast, other, ("a", "b"))
