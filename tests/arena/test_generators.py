"""The generated tasks: right keys, splits that cannot meet, the same items every time."""

import random

import pytest

from arena.tasks.generators import GENERATORS, SPLITS, sample_items, split_of

KANJI = "〇一二三四五六七八九"
SECRET = dict(zip("abcdefghijklmnopqrstuvwxyz", "qjxmtzbwkdvhpcfnoysaeglriu", strict=True))


def number(text):
    """The value of a number in digits or in kanji."""
    value = 0
    for symbol in text:
        value = 10 * value + (KANJI.index(symbol) if symbol in KANJI else int(symbol))
    return value


def in_kanji(value):
    """A number in kanji, made by division."""
    head = in_kanji(value // 10) if value >= 10 else ""
    return head + KANJI[value % 10]


def other_script(text):
    return "".join(str(KANJI.index(s)) if s in KANJI else KANJI[int(s)] for s in text)


def backwards(text):
    return "".join(text[-1 - place] for place in range(len(text)))


def shifted(text):
    return "".join(text[(place + 2) % len(text)] for place in range(len(text)))


def added(text):
    left, right = text.split("+")
    total = number(left) + number(right)
    return in_kanji(total) if text[0] in KANJI else str(total)


SOLUTIONS = {
    "reverse": backwards,
    "rotate": shifted,
    "double": lambda text: "".join(text[place // 2] for place in range(2 * len(text))),
    "sort": lambda text: "".join(c for c in map(chr, range(97, 123)) for _ in range(text.count(c))),
    "sum": added,
    "capital": lambda text: "".join(chr(ord(letter) - 32) for letter in text),
    "cipher": lambda text: "".join(SECRET[letter] for letter in text),
    "kanji": other_script,
    "kanji-sum": added,
    "reverse-capital": lambda text: backwards("".join(chr(ord(letter) - 32) for letter in text)),
    "rotate-cipher": lambda text: shifted("".join(SECRET[letter] for letter in text)),
    "reverse-kanji": lambda text: backwards(other_script(text)),
}


def test_every_task_has_a_solution_and_there_are_three_composites():
    assert SOLUTIONS.keys() == GENERATORS.keys()
    assert sum(generator.kind == "composite" for generator in GENERATORS.values()) >= 3
    assert all(generator.name == name for name, generator in GENERATORS.items())


@pytest.mark.parametrize("easy", [False, True], ids=["full", "easy"])
@pytest.mark.parametrize("name", GENERATORS)
def test_keys_are_right_and_items_are_short(name, easy):
    rng = random.Random(5)
    for _ in range(300):
        prompt, key = GENERATORS[name].draw(rng, easy=easy)
        text = prompt.removesuffix("=").split(":")[1]
        assert key == SOLUTIONS[name](text)
        assert len(prompt) + len(key) <= 23  # and one token for the end


@pytest.mark.parametrize("name", GENERATORS)
def test_splits_are_disjoint_and_sampled_prompts_are_distinct(name):
    dealt = {split: {prompt for prompt, _ in sample_items(name, split, 3, 150)} for split in SPLITS}
    for split, prompts in dealt.items():
        assert len(prompts) == 150
        assert {split_of(prompt) for prompt in prompts} == {split}


def test_split_of_never_changes():
    assert [split_of(f"rev:{word}=") for word in ("abcde", "fghij", "ggggg")] == [
        "search",
        "selection",
        "test",
    ]
    counts = [sum(split_of(str(n)) == split for n in range(10_000)) for split in SPLITS]
    assert counts == pytest.approx([6000, 2000, 2000], rel=0.06)


def test_deal_depends_on_its_arguments_only():
    random.seed(1)
    first = sample_items("sort", "search", 7, 20)
    random.seed(2)
    assert sample_items("sort", "search", 7, 20) == first
    assert sample_items("sort", "search", 7, 30)[:20] == first
    assert sample_items("sort", "search", 8, 20) != first


def test_deal_says_what_is_wrong():
    with pytest.raises(ValueError, match="no task is called 'chess'; there are reverse"):
        sample_items("chess", "search", 0, 1)
    with pytest.raises(ValueError, match="no split is called 'train'"):
        sample_items("sort", "train", 0, 1)
    with pytest.raises(ValueError, match="sum has too few test items: 9000 wanted"):
        sample_items("sum", "test", 0, 9000)
