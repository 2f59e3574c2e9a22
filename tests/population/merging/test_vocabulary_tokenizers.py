"""Tokenizers are read as they load, and the merged one works on texts."""

import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, models
from tokenizers import Tokenizer as Library
from transformers import AutoTokenizer

from population.merging.vocabulary import Tokenizer, align, read_tokenizer
from tests.vocabulary_helpers import (
    CODE,
    PROSE,
    Save,
    bpe,
    check,
    refused,
    saver,
    unigram,
    words,
    written,
)


@pytest.fixture
def save(tmp_path: Path) -> Save:
    return saver(tmp_path)


# Reading.


def test_ids_are_those_that_loading_gives(save: Save) -> None:
    one = save(words({"<unk>": 0, "a": 1}), "one")
    data = json.loads(json.dumps(one.data))
    entry = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    data["added_tokens"] = [{"id": 7, "content": "<x>", "special": True, **entry}]
    (one.folder / "tokenizer.json").write_text(json.dumps(data))
    assert read_tokenizer(one.folder, "one", 3).tokens == {"<unk>": 0, "a": 1, "<x>": 2}


def test_tokens_that_only_the_configuration_mentions(save: Save, tmp_path: Path) -> None:
    library = bpe(PROSE)
    size = library.get_vocab_size()
    entry = {"content": "<x>", "special": True, "normalized": False}
    base = save(
        library, "base", size + 5, pad_token="[PAD]", added_tokens_decoder={str(size): entry}
    )
    assert base.tokens["<x>"] == size
    assert base.tokens["[PAD]"] == size + 1
    loaded = AutoTokenizer.from_pretrained(base.folder)
    assert loaded.get_vocab() == dict(base.tokens)
    written(align([base], 0), [base], tmp_path / "out")
    again = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert again.get_vocab() == dict(base.tokens)
    assert again.pad_token_id == size + 1


def test_what_is_no_fast_tokenizer(tmp_path: Path) -> None:
    refused(
        lambda: read_tokenizer(tmp_path, "m", 9),
        "m: expected tokenizer.json",
        "no tokenizer at all",
    )
    (tmp_path / "tokenizer.model").write_bytes(b"\0")
    refused(lambda: read_tokenizer(tmp_path, "m", 9), "found only tokenizer.model", "AutoTokenizer")
    file = tmp_path / "tokenizer.json"
    for text, part in (
        ("{", "cannot be read"),
        ("[]", "is no JSON object"),
        ("{}", "expected a fast tokenizer"),
        ('{"model": {"type": "Tekken", "vocab": {}}}', "Tekken"),
        ('{"model": {"type": "BPE", "vocab": {"a": 5}}}', "does not load"),
    ):
        file.write_text(text)
        refused(lambda: read_tokenizer(tmp_path, "m", 9), part)


# Writing the union.


def test_union_of_two_bpe_vocabularies(save: Save, tmp_path: Path) -> None:
    prose, code = save(bpe(PROSE), "prose"), save(bpe(CODE), "code")
    for base in (None, 0):
        alignment = align([prose, code], base=base)
        assert alignment.tokens.keys() == prose.tokens.keys() | code.tokens.keys()
        assert prose.tokens.items() <= alignment.tokens.items()
        check(alignment, [prose, code], base)
    merged = written(alignment, [prose, code], tmp_path / "out")
    before = Library.from_file(str(tmp_path / "prose" / "tokenizer.json"))
    texts = ["the mat on the dog", "日本 ü 77", "<eos>the<eos>"]
    same = 0
    for text in [*texts, *PROSE[:3], *" ".join(PROSE[:3]).split()]:
        ids = merged.encode(text).ids
        assert merged.decode(ids) == before.decode(before.encode(text).ids)
        if max(ids) < prose.rows:  # no new token occurs
            assert ids == before.encode(text).ids
            same += 1
        else:
            assert text not in texts
    assert same > 30
    for text in CODE[:3]:
        assert merged.decode(merged.encode(text).ids) == text
        assert len(merged.encode(text).ids) < len(before.encode(text).ids)
    # No ordinary token matches in the middle of words: none is an added token.
    assert [token.content for token in merged.get_added_tokens_decoder().values()] == ["<eos>"]


def test_new_tokens_are_reached_even_where_earlier_merges_cut_otherwise(
    save: Save, tmp_path: Path
) -> None:
    def tiny(merges: list[tuple[str, str]]) -> Library:
        vocabulary = {character: row for row, character in enumerate("abcd")}
        for left, right in merges:
            vocabulary[left + right] = len(vocabulary)
        return Library(models.BPE(vocabulary, merges))

    first = save(tiny([("b", "c")]), "first")
    second = save(tiny([("a", "b"), ("ab", "c"), ("abc", "d")]), "second")
    merged = written(align([first, second]), [first, second], tmp_path / "out")
    assert merged.encode("bc").tokens == ["bc"]
    assert merged.encode("abc").tokens == ["abc"]  # a + bc, which neither has
    assert merged.encode("abcd").tokens == ["abcd"]
    assert merged.encode("ab").tokens == ["ab"]
    assert merged.encode("bcd").tokens == ["bc", "d"]


def test_merges_written_as_text_are_understood(save: Save, tmp_path: Path) -> None:
    tokenizers = []
    for name, texts in (("prose", PROSE), ("code", CODE)):
        one = save(bpe(texts), name)
        data = json.loads((one.folder / "tokenizer.json").read_text())
        data["model"]["merges"] = [" ".join(merge) for merge in data["model"]["merges"]]
        del data["model"]["type"]
        (one.folder / "tokenizer.json").write_text(json.dumps(data))
        tokenizers.append(read_tokenizer(one.folder, name, one.rows))
    tokenizers[0] = save(bpe(PROSE), "again")
    merged = written(align(tokenizers), tokenizers, tmp_path / "out")
    assert merged.encode("self.values").tokens == bpe(CODE).encode("self.values").tokens


def test_union_extends_words_and_pieces(save: Save, tmp_path: Path) -> None:
    first = save(words({"<unk>": 0, "cat": 1}), "first")
    second = save(words({"dog": 0, "<unk>": 1, "cat": 2}), "second")
    merged = written(align([first, second]), [first, second], tmp_path / "words")
    assert merged.encode("cat dog cow").ids == [1, 2, 0]

    ours = unigram([("<unk>", 0.0), ("▁", -3.0), ("c", -4.0), ("a", -4.0), ("t", -4.0)])
    ours.add_special_tokens(["<s>"])
    theirs = unigram([("<unk>", 0.0), ("▁", -3.0), ("▁cat", -2.0), ("dog", -2.5)])
    third, fourth = save(ours, "third"), save(theirs, "fourth")
    alignment = align([third, fourth], base=0)
    check(alignment, [third, fourth], base=0)
    merged = written(alignment, [third, fourth], tmp_path / "pieces")
    assert merged.encode("cat dog").tokens == ["▁cat", "▁", "dog"]
    assert merged.encode("act").ids == ours.encode("act").ids
    assert merged.token_to_id("<s>") == ours.token_to_id("<s>")
    assert merged.encode("<s>").tokens[-1] == "<s>"
    pieces = json.loads(merged.to_str())["model"]["vocab"]
    assert ["dog", -2.5] in pieces


def test_special_tokens_of_others_stay_special(save: Save, tmp_path: Path) -> None:
    first = bpe(PROSE, special=("<eos>", "<|user|>"))
    data = json.loads(first.to_str())
    data["added_tokens"] = data["added_tokens"][:1]  # here <|user|> is ordinary
    base = save(Library.from_str(json.dumps(data)), "base", rows=400, eos_token="<eos>")
    second = bpe(CODE, special=("<eos>", "<|user|>", "<|end|>"))
    second.add_tokens([AddedToken("  ", normalized=False, lstrip=False)])
    second.add_tokens([AddedToken("sat", single_word=True)])
    chat = save(second, "chat")
    alignment = align([base, chat], base=0)
    assert alignment.size == 400  # the new tokens found room in the padding
    check(alignment, [base, chat], base=0)
    merged = written(alignment, [base, chat], tmp_path / "out")
    added = merged.get_added_tokens_decoder()
    assert {token.content for token in added.values()} == {"<eos>", "<|user|>", "<|end|>", "  "} | (
        set() if "sat" in base.tokens else {"sat"}
    )
    end = added[merged.token_to_id("<|end|>")]
    assert end.special
    assert not end.normalized
    assert not added[merged.token_to_id("  ")].special
    assert merged.encode("the<|end|>cat<|user|>").tokens == [
        *base_tokens(base, "the"),
        "<|end|>",
        *base_tokens(base, "cat"),
        "<|user|>",
    ]
    assert merged.decode(merged.encode("the cat<|end|>").ids) == "the cat"


def base_tokens(tokenizer: Tokenizer, text: str) -> list[str]:
    tokens: list[str] = (
        Library.from_file(str(tokenizer.folder / "tokenizer.json")).encode(text).tokens
    )
    return tokens


def test_transformers_loads_the_union(save: Save, tmp_path: Path) -> None:
    base = save(bpe(PROSE), "base", eos_token="<eos>", added_tokens_decoder={})
    (base.folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    (base.folder / "merges.txt").write_text("stale soon")
    code = save(bpe(CODE, special=("<eos>", "<|end|>")), "code")
    out = tmp_path / "out"
    merged = written(align([base, code], 0), [base, code], out)
    loaded = AutoTokenizer.from_pretrained(out)
    assert loaded.get_vocab() == merged.get_vocab(with_added_tokens=True)
    for text in (*PROSE[:2], *CODE[:2], "the<|end|>cat"):
        assert loaded.encode(text) == merged.encode(text).ids
        assert loaded.decode(loaded.encode(text)) == text
    assert loaded.eos_token == "<eos>"
    assert loaded.apply_chat_template([{"role": "user", "content": "hm"}], tokenize=False) == "hm"
    assert not (out / "merges.txt").exists()
    config = json.loads((out / "tokenizer_config.json").read_text())
    ids = {int(row): entry["content"] for row, entry in config["added_tokens_decoder"].items()}
    assert ids == {0: "<eos>", merged.token_to_id("<|end|>"): "<|end|>"}


# Tokens that have no row.


def test_tokens_beyond_the_embedding_are_dropped(save: Save, tmp_path: Path) -> None:
    library = bpe(PROSE)
    library.add_special_tokens(["[PAD]"])
    size = library.get_vocab_size()
    base = save(library, "base", rows=size - 3, pad_token="[PAD]", eos_token="<eos>")
    assert len(base.out_of_range) == 3
    whole_one = save(library, "whole", eos_token="<eos>")
    merged = written(align([base, whole_one], source="base"), [base, whole_one], tmp_path / "out")
    assert merged.token_to_id("[PAD]") is None
    assert max(merged.encode(text).ids[0] for text in PROSE) < size - 3
    config = json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())
    assert "pad_token" not in config
    assert config["eos_token"] == "<eos>"
    check(align([base, whole_one], 0), [base, whole_one], 0)
    # Others have rows for them, so in the union they are back, and so is their role.
    merged = written(align([base, whole_one], 0), [base, whole_one], tmp_path / "union")
    assert merged.get_added_tokens_decoder()[merged.token_to_id("[PAD]")].special
    config = json.loads((tmp_path / "union" / "tokenizer_config.json").read_text())
    assert config["pad_token"] == "[PAD]"
