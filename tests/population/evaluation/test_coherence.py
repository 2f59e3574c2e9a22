"""Coherence: the decisions, worked out by hand."""

import math
from dataclasses import replace

import pytest

from population.evaluation.coherence import (
    CoherenceLimits,
    CoherenceMeasures,
    GeneratedAnswer,
    cause_of_death,
    repetition,
)

KEYS = ("abc", "aaaaaaaa", "ok", "四二")
FINE = tuple(GeneratedAnswer(key, ended=True) for key in KEYS)
WELL = CoherenceMeasures(finite=True, norm_ratio=1.0, surprise=2.0, answers=FINE)
LOOP = "ab" * 20
LIMITS = CoherenceLimits()


def cause(
    measures: CoherenceMeasures, *references: CoherenceMeasures, limits: CoherenceLimits = LIMITS
) -> str | None:
    return cause_of_death(measures, references or (WELL,), limits, KEYS)


def answering(*answers: GeneratedAnswer) -> CoherenceMeasures:
    return replace(WELL, answers=answers)


def answering_with(*texts: str, ended: bool = True) -> CoherenceMeasures:
    return answering(*(GeneratedAnswer(text, ended) for text in texts))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0.0),
        ("a", 0.0),
        ("ab", 0.0),
        ("aa", 0.5),  # a, a
        ("aaa", 0.5),  # aa, aa
        ("aaaaaa", 0.75),  # four times aaa
        ("zzkkeekk", 0.0),  # every letter twice, and yet six different triples
        ("abababab", 1 - 2 / 6),  # aba, bab, aba, ...
        ("A五" * 8, 1 - 2 / 13),
        ("四二" * 8, 1 - 2 / 13),
    ],
)
def test_repetition_counts_ngrams_that_grow_with_the_text(text: str, expected: float) -> None:
    assert repetition(text) == pytest.approx(expected)


def test_no_length_and_no_alphabet_forces_repetition() -> None:
    # A de Bruijn sequence of two symbols holds each of its 2 ** 5 words once.
    assert repetition("00000100011001010011101011011111") == 0.0
    prose = (
        "The largest ratio of a tensor's root mean square to that of its kind. What is zero in "
        "all founders must stay zero; a tensor of a kind that no founder has is not compared. "
        "Models may be deeper than the founders, and then a layer has no twin of its number. "
        "A newborn model shows that it has its language before it costs a whole panel. "
    )
    assert repetition(prose) < 0.1
    assert repetition(prose + "and so on " * 100) > LIMITS.repetition
    assert repetition("吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。") < 0.1
    assert repetition("吾輩は猫である。" * 8) > LIMITS.repetition


def test_a_model_as_good_as_its_references_lives() -> None:
    assert cause(WELL) is None
    assert cause(replace(WELL, answers=())) is None


def test_weights_that_are_not_finite() -> None:
    assert cause(replace(WELL, finite=False, norm_ratio=math.nan)) == "not finite"
    broken = replace(WELL, finite=False)
    assert cause(broken, broken) == "not finite"  # a reference is no excuse


def test_norms() -> None:
    assert cause(replace(WELL, norm_ratio=3.0)) is None
    assert cause(replace(WELL, norm_ratio=3.1)) == "norms exploded"
    assert cause(replace(WELL, norm_ratio=math.inf)) == "norms exploded"
    assert cause(replace(WELL, norm_ratio=3.1), WELL, replace(WELL, norm_ratio=4.0)) is None


def test_surprise_is_compared_with_the_worst_reference() -> None:
    limits = CoherenceLimits(surprise=math.e)  # one nat
    assert cause(replace(WELL, surprise=3.0), limits=limits) is None
    assert cause(replace(WELL, surprise=3.1), limits=limits) == "lost its language"
    dull = replace(WELL, surprise=2.2)
    assert cause(replace(WELL, surprise=3.1), WELL, dull, limits=limits) is None
    broken = replace(WELL, finite=False, surprise=math.inf)
    assert cause(replace(WELL, surprise=3.1), WELL, broken, limits=limits) == "lost its language"


def test_without_references_surprise_is_not_checked() -> None:
    assert cause_of_death(replace(WELL, surprise=50.0), (), CoherenceLimits(), KEYS) is None
    assert (
        cause_of_death(replace(WELL, norm_ratio=50.0), (), CoherenceLimits(), KEYS)
        == "norms exploded"
    )


def test_answers() -> None:
    assert cause(answering_with("", " ", "\n", "x")) == "empty answers"
    assert cause(answering_with("", "", "x", "y")) is None  # half may be
    assert cause(answering_with(LOOP, LOOP, LOOP, "x")) == "repeats itself"
    assert cause(answering_with("some", "thing", "that", "never", ended=False)) == "endless answers"
    # Repeating one thing forever is endless too; the repetition is the more telling cause.
    assert cause(answering_with(LOOP, LOOP, LOOP, LOOP, ended=False)) == "repeats itself"


def test_a_right_answer_is_never_incoherent() -> None:
    looping = GeneratedAnswer(LOOP, ended=True)
    right = GeneratedAnswer("aaaaaaaa", ended=True)
    assert repetition(right.text) > LIMITS.repetition
    assert cause(answering(looping, right, looping, GeneratedAnswer("x", ended=True))) is None
    assert cause(answering(looping, looping, looping, GeneratedAnswer("x", ended=True))) is not None
    assert cause(answering_with(*KEYS, ended=False)) is None  # right as far as a key can tell


def test_references_that_do_the_same_set_the_standard() -> None:
    base = answering_with("on", "and", "on", "and", ended=False)
    assert cause(base, WELL, base) is None
    silent = answering_with("", "", "", "x")
    assert cause(silent, silent) is None
    assert (
        cause(answering_with("", "", "", ""), silent) == "empty answers"
    )  # worse than its worst reference


def test_answers_and_keys_belong_together() -> None:
    with pytest.raises(ValueError, match="zip"):
        cause_of_death(WELL, (), CoherenceLimits(), KEYS[:2])
