"""`colony ask` as a person meets it: one model, the champion, or the living as one."""

import json

import pytest

from lineage import Archive
from tests.command_helpers import colony, failure

PROMPT = "cap:hryku="


def test_a_specialist_is_asked_and_is_sure(small_archive: Archive) -> None:
    where = ("--archive", small_archive.path)
    code, said, _ = colony("ask", PROMPT, "--model", "capital", *where, "--json")
    assert code == 0
    found = json.loads(said)
    assert found["answer"] == "HRYKU"
    (reply,) = found["replies"]
    assert reply["label"] == "capital"
    assert reply["confidence"] > 0.9
    assert colony("ask", PROMPT, "--model", "capital", *where)[1] == "HRYKU\n"


def test_of_the_living_the_surest_and_most_trusted_is_heard(small_archive: Archive) -> None:
    where = ("--archive", small_archive.path)
    found = json.loads(colony("ask", PROMPT, "--colony", "--task", "capital", *where, "--json")[1])
    weights = [reply["confidence"] * reply["trust"] for reply in found["replies"]]
    assert len(weights) == len(small_archive.models(living=True))
    assert weights == sorted(weights, reverse=True)
    assert found["answer"] == found["replies"][0]["answer"] == "HRYKU"
    assert min(reply["trust"] for reply in found["replies"]) < 1.0
    said = colony("ask", PROMPT, "--colony", "--explain", *where)[1]
    assert said.startswith("HRYKU\n")
    assert "trust" in said


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("--colony", "--model", "1"), "choose one of --colony and --model"),
        (("--task", "poetry"), "no task 'poetry' here; there are "),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    small_archive: Archive, asked: tuple[str, ...], says: str
) -> None:
    assert says in failure("ask", PROMPT, *asked, "--archive", small_archive.path)
