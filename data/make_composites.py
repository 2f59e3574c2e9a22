"""Make tasks that no founder can do, and no merge of them: two skills at once, without keys.

    python data/make_composites.py --out data/composites

Each of the four composites here asks for an operation and a notation that some founder has, in a
pair that none was ever shown. Search and selection items have no keys; `task.toml` says how to get
there in steps. The sealed test split has keys, for the report alone.
"""

import argparse
import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from arena.tasks.generators import LETTERS, apply, split_of

PAIRS = {
    "reverse-cipher": ("rev", "enc"),
    "rotate-capital": ("rot", "cap"),
    "sort-capital": ("srt", "cap"),
    "sort-cipher": ("srt", "enc"),
}
SIZES = {"search": 300, "selection": 40, "test": 100}
LENGTHS = (5, 6)


def main() -> None:
    """Write a folder for every composite."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the folder for the tasks")
    out = parser.parse_args().out
    for name, tags in PAIRS.items():
        make_task(out / name, name, tags)
    print(f"{len(PAIRS)} tasks are in {out}")


def make_task(folder: Path, name: str, tags: tuple[str, str]) -> None:
    """Write a task: its items by split, and the steps that lead to an answer."""
    folder.mkdir(parents=True, exist_ok=True)
    both = ".".join(tags)
    (folder / "task.toml").write_text(
        f'name = "{name}"\nkind = "composite"\n'
        f"reads = '{both.replace('.', '[.]')}:(?P<text>\\w+)='\n"
        f'steps = ["{tags[0]}:{{text}}=", "{tags[1]}:{{answer}}="]\n',
        encoding="utf-8",
    )
    rng = random.Random(name)
    rows: dict[str, list[dict[str, str]]] = {split: [] for split in SIZES}
    while any(len(rows[split]) < size for split, size in SIZES.items()):
        text = "".join(rng.choices(LETTERS, k=rng.choice(LENGTHS)))
        prompt = f"{both}:{text}="
        split = split_of(prompt)
        if len(rows[split]) < SIZES[split]:
            key = {"key": apply(tags, text)} if split == "test" else {}
            rows[split].append({"prompt": prompt, **key})
    for split, found in rows.items():
        lines = "".join(json.dumps(row) + "\n" for row in found)
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    main()
