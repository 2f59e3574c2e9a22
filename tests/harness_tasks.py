"""Tasks of lm-evaluation-harness for tests: YAML files on local data, one of each output type."""

import json
import random
from pathlib import Path

from tests.conftest import SHIPPED

OUTPUT_TYPES = ("multiple_choice", "generate_until", "loglikelihood", "loglikelihood_rolling")

_WAYS = {
    "multiple_choice": """
doc_to_text: "{{prompt}}"
doc_to_choice: choices
doc_to_target: gold
target_delimiter: ""
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
""",
    "generate_until": """
doc_to_text: "{{prompt}}"
doc_to_target: key
generation_kwargs: {until: ["=", "z"], max_gen_toks: 16, do_sample: false}
filter_list:
  - name: first-four
    filter:
      - {function: regex, regex_pattern: "^(.{1,4})", fallback: "[invalid]"}
      - {function: take_first}
  - name: whole
    filter:
      - {function: take_first}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}
""",
    "loglikelihood": """
doc_to_text: "{{prompt}}"
doc_to_target: key
metric_list:
  - {metric: perplexity, aggregation: perplexity, higher_is_better: false}
  - {metric: acc, aggregation: mean, higher_is_better: true}
""",
    "loglikelihood_rolling": """
doc_to_text: ""
doc_to_target: text
metric_list:
  - {metric: word_perplexity}
  - {metric: byte_perplexity}
  - {metric: bits_per_byte}
""",
}


def documents(split: str, count: int) -> list[dict[str, object]]:
    """Documents made of items of all shipped tasks, the same for the same arguments."""
    rng = random.Random(f"{split}/{count}")
    items = [
        json.loads(line)
        for task in sorted((SHIPPED / "tasks").glob("*/task.toml"))
        for line in (task.parent / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    chosen = rng.sample(items, count)
    made: list[dict[str, object]] = []
    for item in chosen:
        choices = rng.sample(sorted({item["key"], *_alike(item["key"], rng)}), 4)
        if item["key"] not in choices:
            choices[rng.randrange(4)] = item["key"]
        others = rng.sample(chosen, min(count, rng.randint(0, 6)))
        text = " ".join(one["prompt"] + one["key"] for one in [item, *others])
        made.append(
            {
                "prompt": item["prompt"],
                "key": item["key"],
                "choices": choices,
                "gold": choices.index(item["key"]),
                "text": text,
            }
        )
    return made


def _alike(key: str, rng: random.Random) -> set[str]:
    """Wrong answers that are hard to tell from a key: its symbols in another order, or fewer."""
    shuffled = {"".join(rng.sample(key, len(key))) for _ in range(8)}
    return shuffled | {key[1:] + key[:1], *(key + key[-1] * more for more in (1, 2, 3))}


def write_task(
    folder: Path, output_type: str, counts: dict[str, int], extra: str = "", name: str | None = None
) -> Path:
    """Write a task and its data.

    Args:
        folder: where to.
        output_type: of the task.
        counts: documents of each of the splits `train`, `validation` and `test` that it has.
        extra: more lines of YAML; they win.
        name: of the task and its file.
    """
    ours = {"train": "search", "validation": "selection", "test": "test"}
    files = {}
    for split, count in counts.items():
        files[split] = folder / f"{name or output_type}-{split}.jsonl"
        lines = [json.dumps(doc, ensure_ascii=False) for doc in documents(ours[split], count)]
        files[split].write_text("\n".join(lines) + "\n", encoding="utf-8")
    splits = "".join(
        f"{'training' if split == 'train' else split}_split: {split}\n" for split in counts
    )
    data = "".join(f"    {split}: {json.dumps(str(file))}\n" for split, file in files.items())
    path = folder / f"{name or output_type}.yaml"
    path.write_text(
        f"task: {name or output_type}\noutput_type: {output_type}\n"
        f"dataset_path: json\ndataset_kwargs:\n  data_files:\n{data}{splits}"
        f"{_WAYS[output_type]}{extra}",
        encoding="utf-8",
    )
    return path
