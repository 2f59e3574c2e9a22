"""A program that makes items of reasoning-gym and rates answers: JSON in, JSON out, line by line.

Verifiers may evaluate an answer as Python (`spiral_matrix`, `n_queens`, `countdown`, ...), and an
answer is whatever a model says. So it may read the libraries' files and compute for a while, and
nothing else. It imports nothing of this project but `confinement`.
"""

import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import reasoning_gym
from reasoning_gym.factory import DATASETS

sys.path.append(str(Path(__file__).resolve().parents[2] / "confined"))
from confinement import allow_seconds, confine  # type: ignore[import-not-found]

MEMORY = 2 << 30
"""Bytes that it may take beside those of the program."""

PARSED_DEPTH = 2_000
"""Frames of Python: an answer of a thousand brackets is an error, not the end of the process."""


def main() -> None:
    """Answer every line until there are no more."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # some generators print
    sys.setrecursionlimit(PARSED_DEPTH)
    confine(MEMORY)
    datasets: dict[str, Any] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        making = asked["answer"] is None
        allow_seconds(asked["seconds"])
        try:
            key = json.dumps(asked["dataset"])
            if key not in datasets:
                datasets[key] = _dataset(**asked["dataset"])
            dataset = datasets[key]
            if making:
                answer: dict[str, Any] = {"items": [_item(dataset[n]) for n in range(dataset.size)]}
            else:
                entry = dataset[asked["index"]]
                answer = {"score": float(dataset.score_answer(asked["answer"], entry))}
        except Exception as error:  # noqa: BLE001 - whatever a dataset raises
            reason = " ".join(f"{error}".split()) or type(error).__name__
            answer = {"error": reason[:300]}
        allow_seconds(0.0)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _dataset(name: str, options: dict[str, Any], seed: int, size: int) -> Any:
    if name not in DATASETS:
        raise ValueError(f"reasoning-gym has no {name!r}; there are {', '.join(sorted(DATASETS))}")
    known = [field.name for field in fields(DATASETS[name][1])]
    if unknown := sorted(set(options) - set(known)):
        raise ValueError(
            f"{name} has no setting {unknown[0]!r}; there are {', '.join(sorted(known))}"
        )
    return reasoning_gym.create_dataset(name, **options, seed=seed, size=size)


def _item(entry: dict[str, Any]) -> list[str | None]:
    key = entry["answer"]
    return [entry["question"], None if key is None else str(key)]


if __name__ == "__main__":
    main()
