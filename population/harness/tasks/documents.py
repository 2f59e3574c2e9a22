"""The documents of a task of the harness: opened split by split, with the contexts to be asked."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.task import ALL_OUTPUT_TYPES, ConfigurableTask
from lm_eval.tasks._yaml_loader import load_yaml

from arena.errors import TaskError
from arena.tasks.checked import error_text
from population.harness.tasks.datasets import LazySplits
from population.harness.tasks.splits import SplitPart, parts_of, without_those_of

EXAMPLES_SEED = 1234
"""Of the examples that are shown, as in the harness."""


@dataclass(frozen=True)
class Document:
    """A document of a task.

    Attributes:
        number: its place in its split of the harness.
        doc: as the task's own code gets it.
        content: tells whether two documents are the same.
        context: what stands before the answer, examples among it; several where the choices differ
            in it.
    """

    number: int
    doc: Any
    content: str
    context: str | list[str]


@dataclass(frozen=True)
class DocumentChoice:
    """Which documents of a task are taken.

    Attributes:
        seed: cuts what the task does not split, and draws where there are too many.
        most: documents of an open split, at most; the sealed split is taken whole.
    """

    seed: int
    most: int


class _OpenedTask(ConfigurableTask):  # type: ignore[misc]
    """A task whose data set is given, so that no split is read before it is asked for."""

    def __init__(self, config: Mapping[str, Any], splits: LazySplits) -> None:
        self._splits = splits
        super().__init__(config=dict(config))

    def download(self, *args: Any, **kwargs: Any) -> None:
        """Take the data set that is given."""
        self.dataset = self._splits


class Documents:
    """A task of the harness, opened.

    Args:
        path: of its YAML file.
        choice: which documents are taken.

    Raises:
        TaskError: the file cannot be read, or is no task that can be used.
    """

    def __init__(self, path: Path, choice: DocumentChoice) -> None:
        self.path, self._choice = path, choice
        self.config = _read_config(path)
        self.name: str = str(self.config["task"])
        self._where = f"[tasks] lm_eval: {self.name}"
        kinds = ("training", "validation", "test")
        named = [self.config.get(f"{kind}_split") for kind in kinds]
        self.parts: Mapping[str, SplitPart] = parts_of(named, self._where)
        self.of_split: Callable[[str], dict[str, Document]] = cache(self._of_split)
        """The documents of a split by the ids of their items; asking for `test` breaks its seal."""

    @property
    def output_type(self) -> str:
        """What models are asked for: one of the harness's four kinds."""
        return str(self.config.get("output_type") or "generate_until")

    @cached_property
    def task(self) -> ConfigurableTask:
        """The task as the harness makes it, without its sealed documents.

        Raises:
            TaskError: its own code, or its data set, fails.
        """
        first = self.parts["search"].split
        splits = LazySplits(self._where, self.config, self.path.parent)
        opened = {**self.config, "test_split": None, "validation_split": first}
        sealed, shown = self.parts["test"], dict(opened.get("fewshot_config") or {})
        if sealed.whole and shown.get("split", opened.get("fewshot_split")) == sealed.split:
            opened |= {"fewshot_split": None, "fewshot_config": {**shown, "split": None}}
        try:
            task = _OpenedTask(opened, splits)
            task.set_fewshot_seed(EXAMPLES_SEED)
        except TaskError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the task's own code raises
            raise TaskError(f"{self._where}: cannot be opened: {error_text(error)}") from None
        task.config.test_split = self.config.get("test_split")
        return task

    def requests(self, document: Document) -> list[Instance]:
        """What a model is asked about a document: texts to be read, or one to be continued."""
        made = self.task.construct_requests(
            doc=document.doc,
            ctx=document.context,
            metadata=(self.name, document.number, self.task.config.repeats),
        )
        return made if isinstance(made, list) else [made]

    def _of_split(self, split: str) -> dict[str, Document]:
        try:
            documents = self._rendered(split, self._chosen(split))
        except TaskError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the task's own code raises
            raise TaskError(f"{self._where}: {split}: {error_text(error)}") from None
        if not documents:
            raise TaskError(
                f"{self._where}: there are no documents for {split}: those of its data set are too "
                "few, or stand in another split as well"
            )
        return {f"{self.name}/{split}/{one.number}": one for one in documents}

    @cache  # noqa: B019 - a campaign has few tasks, and keeps them
    def _chosen(self, split: str) -> list[tuple[int, Any, str]]:
        """Number, document and content of those of a split, in their order."""
        part = self.parts[split]
        taken = [
            frozenset(content for _, _, content in self._chosen(before))
            for before in list(self.parts)[: list(self.parts).index(split)]
        ]
        documents = self._process(part.split)
        found = [
            (number, doc, content)
            for number, doc in enumerate(documents)
            for content in (self._content(doc),)
            if part.holds(content, self._choice.seed)
        ]
        found = without_those_of(found, lambda one: one[2], taken)
        if split != "test" and len(found) > self._choice.most:
            rng = random.Random(f"{self.name}/{split}/{self._choice.seed}")
            found = sorted(rng.sample(found, self._choice.most), key=lambda one: one[0])
        return found

    def _process(self, split: str) -> Any:
        documents, process = self.task.dataset[split], self.task.config.process_docs
        return documents if process is None else process(documents)

    def _content(self, doc: Any) -> str:
        """What makes a document what it is: its question and choices, however they are spaced."""
        task = self.task
        parts = [task.doc_to_text(doc)]
        if self.output_type == "multiple_choice":
            parts += sorted(map(str, task.doc_to_choice(doc)))
        if not isinstance(parts[0], str) or not parts[0].strip():
            parts = [json.dumps(doc, sort_keys=True, default=str, ensure_ascii=False)]
        return "\n".join(" ".join(str(part).split()).casefold() for part in parts)

    # Contexts

    def _rendered(self, split: str, chosen: list[tuple[int, Any, str]]) -> list[Document]:
        shown = self.task.config.num_fewshot or 0
        if shown:
            self._show_open_documents(split)
        return [
            Document(
                number,
                doc,
                content,
                self.task.fewshot_context(doc, shown, gen_prefix=self.task.doc_to_prefix(doc)),
            )
            for number, doc, content in chosen
        ]

    def _show_open_documents(self, split: str) -> None:
        """Let examples be search documents, or of a split that is used for nothing else.

        No document is an example of its own.
        """
        task, config = self.task, self.task.config
        source = task.fewshot_cfg.split
        if source is None and task.fewshot_cfg.samples is not None:
            return  # examples that stand in the file
        used = {part.split for part in self.parts.values()}
        if source is None or source in used:
            task.sampler.replace_df([doc for _, doc, _ in self._chosen("search")])
            # The harness takes the document itself out where both splits have the same name.
            config.test_split = source if split == "search" else f"not {source}"
        task.set_fewshot_seed(EXAMPLES_SEED)


def _read_config(path: Path) -> dict[str, Any]:
    where = f"[tasks] lm_eval: {path}"
    try:
        config: dict[str, Any] = load_yaml(path, resolve_func=True)
    except Exception as error:  # noqa: BLE001 - a user's YAML, which may import code
        raise TaskError(f"{where} cannot be read: {error_text(error)}") from None
    if not isinstance(config.get("task"), str):
        raise TaskError(
            f"{where} is no task: a group, or it has no `task: NAME`; name its tasks one by one"
        )
    if "class" in config:
        raise TaskError(
            f"{where} is a class, which opens all of its data itself; only tasks that are "
            "described in YAML can be used, so that the test split stays sealed"
        )
    kind = config.get("output_type") or "generate_until"
    if kind not in ALL_OUTPUT_TYPES:
        raise TaskError(
            f"{where}: output_type is {kind!r}; there are {', '.join(ALL_OUTPUT_TYPES)}"
        )
    for key in ("doc_to_image", "doc_to_audio"):
        if config.get(key) is not None:
            raise TaskError(f"{where} has {key}; models of a colony read text alone")
    for key in ("tag", "group", "task_list", "include"):
        config.pop(key, None)
    metadata = config.get("metadata")
    config["metadata"] = metadata if isinstance(metadata, dict) else {}
    return config
