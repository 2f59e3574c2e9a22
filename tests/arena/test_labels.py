"""Labels: who is heard on a task, whose answer becomes the label, and which labels are kept."""

import math

import numpy as np

from arena.labels.approval import SLACK, ApprovalRule, approved, relative_trust, renewed
from arena.labels.audit import LabelAudit, audited
from arena.labels.confident_answer import ConfidentAnswer
from arena.labels.speakers import speakers_by_task
from lineage.queries.labels import LabelledItem
from lineage.records import Item, Label, Trust


def said(model: int, item: str, text: str, confidence: float, task: str = "sum") -> ConfidentAnswer:
    return ConfidentAnswer(item, task, model, text, confidence)


def test_the_surest_answer_is_the_label_however_many_say_something_else() -> None:
    answers = [said(model, "a", "wrong", -0.2) for model in (1, 2, 3)]
    (label,) = approved([*answers, said(4, "a", "right", -0.1)], {}, ApprovalRule())
    assert (label.answer, label.model, label.confidence) == ("right", 4, -0.1)


def test_trust_that_was_earned_counts_and_is_not_needed() -> None:
    answers = [said(1, "a", "one", -0.1), said(2, "a", "two", -0.2)]
    trust = relative_trust(
        [Trust(1, "consensus", "sum", "strangers", 1, 9), Trust(2, "consensus", "sum", "x", 9, 1)]
    )
    assert approved(answers, trust, ApprovalRule())[0].answer == "two"
    assert approved(answers, {}, ApprovalRule())[0].answer == "one"
    # Nobody is trusted less for a task of which nothing is known.
    assert approved(answers, relative_trust([]), ApprovalRule())[0].answer == "one"


def test_of_equals_the_older_model_is_taken() -> None:
    for order in ((1, 2), (2, 1)):
        answers = [said(model, "a", f"of {model}", -0.1) for model in order]
        assert approved(answers, {}, ApprovalRule())[0].answer == "of 1"


def test_the_surest_part_is_kept_and_a_task_of_which_little_is_kept_has_no_label() -> None:
    easy = [said(1, f"easy{n}", "x", -0.01 * n) for n in range(10)]
    hard = [said(1, f"hard{n}", "x", -1.0 - n, "hard") for n in range(10)]
    hard[0] = said(1, "hard0", "sure and wrong", -0.001, "hard")
    labels = approved([*easy, *hard], {}, ApprovalRule(share=0.5, least=0.25))
    kept = {label.item for label in labels if label.kept}
    assert kept == {f"easy{n}" for n in range(9)}
    everything = approved([*easy, *hard], {}, ApprovalRule(share=1.0))
    assert all(label.kept for label in everything)


def test_an_answer_without_an_end_is_no_label() -> None:
    (label,) = approved([said(1, "a", "and so on", -math.inf)], {}, ApprovalRule(share=1.0))
    assert not label.kept


def test_what_was_kept_stays_and_the_rest_is_asked_again() -> None:
    rule, level = ApprovalRule(), -0.1
    labels = [
        Label("old", "kept", 1, level, kept=True),
        Label("sure", "guess", 1, -2.0, kept=False),
        Label("unsure", "guess", 1, -2.0, kept=False),
        Label("silent", "guess", 1, -2.0, kept=False),
    ]
    answers = [
        said(9, "sure", "known now", SLACK * level + 1e-6),
        said(9, "unsure", "hardly", SLACK * level - 1e-3),
    ]
    found = renewed(labels, answers, {}, rule, level)
    assert [(one.item, one.answer, one.model, one.kept) for one in found] == [
        ("old", "kept", 1, True),
        ("sure", "known now", 9, True),
        ("unsure", "hardly", 9, False),
        ("silent", "guess", 1, False),
    ]


def test_a_champion_that_is_sure_of_little_of_a_task_is_not_believed_there() -> None:
    labels = [Label(f"{n}", "guess", 1, -2.0, kept=False) for n in range(8)]
    answers = [said(9, f"{n}", "x", -0.01 if n == 0 else -3.0) for n in range(8)]
    assert not any(one.kept for one in renewed(labels, answers, {}, ApprovalRule(), -0.1))


def test_who_is_surest_of_a_task_is_heard_and_then_who_is_no_kin() -> None:
    probes = [
        said(model, f"{task}{n}", "x", confidence, task)
        for n in range(4)
        for task, of in (("sum", (-0.1, -0.2, -0.9)), ("sort", (-3.0, -2.0, -0.1)))
        for model, confidence in zip((1, 2, 3), of, strict=True)
    ]
    kin = np.eye(3)
    assert speakers_by_task(probes, [1, 2, 3], kin, {}, 2) == {"sum": [1, 2], "sort": [3, 2]}
    kin[0, 1] = kin[1, 0] = 0.9
    assert speakers_by_task(probes, [1, 2, 3], kin, {}, 2)["sum"] == [1, 3]
    assert speakers_by_task(probes, [1, 2, 3], kin, {(1, "sum"): 0.1}, 1)["sum"] == [2]


def test_keys_audit_the_labels_that_were_kept() -> None:
    labelled = [
        LabelledItem(Item(str(n), "sum", "search", "?", key), Label(str(n), "4", 1, -0.1, kept))
        for n, (key, kept) in enumerate([("4", True), ("5", True), (None, True), ("5", False)])
    ]
    found = audited(labelled, lambda one: float(one.label.answer == one.item.key))
    assert found == {"sum": LabelAudit(labels=4, kept=3, checked=2, right=1.0)}
