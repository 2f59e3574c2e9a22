"""The data sets of tasks, split by split: what is not asked for is not read.

A data set of local files is read one file at a time. One of the hub is fetched whole into the cache
of the library `datasets`, from which each split is read when it is asked for.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from arena.errors import TaskError
from arena.tasks.checked import error_text
from population.harness.library import harness

LOCAL = ("json", "csv", "parquet", "text", "arrow", "xml")
"""Kinds of local files, as `dataset_path` calls them."""


class LazySplits(Mapping[str, Any]):
    """The splits of a data set, each loaded when it is asked for.

    Args:
        where: what messages begin with.
        config: of the task: `dataset_path`, `dataset_name`, `dataset_kwargs`, `custom_dataset`.
        folder: what `data_files` are relative to if they lie there; else the working directory.
    """

    def __init__(self, where: str, config: Mapping[str, Any], folder: Path) -> None:
        self._where, self._config, self._folder = where, config, folder
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, split: str) -> Any:
        """A split.

        Raises:
            TaskError: it cannot be had; says why, and what to do.
        """
        if split not in self._loaded:
            self._loaded[split] = self._load(split)
        return self._loaded[split]

    def __iter__(self) -> Iterator[str]:
        """The names of those that were loaded."""
        return iter(self._loaded)

    def __len__(self) -> int:
        """How many were loaded."""
        return len(self._loaded)

    def _load(self, split: str) -> Any:
        library = harness("datasets", self._where)
        library.disable_progress_bars()
        custom = self._config.get("custom_dataset")
        settings = dict(self._config.get("dataset_kwargs") or {})
        settings.pop("trust_remote_code", None)  # a data set's own code is never run
        path = self._config.get("dataset_path")
        try:
            if callable(custom):
                return custom(**(self._config.get("metadata") or {}), **settings)[split]
            if "data_files" in settings:
                settings["data_files"] = self._files(settings["data_files"], split)
            name = self._config.get("dataset_name")
            return library.load_dataset(path, name, split=split, **settings)
        except Exception as error:  # noqa: BLE001 - whatever a library or a user's code raises
            hint = (
                ""
                if path in LOCAL or callable(custom)
                else "; it is fetched from the hub once: run this where there is a network, or "
                "name local files (dataset_path: json, dataset_kwargs: data_files)"
            )
            raise TaskError(
                f"{self._where}: split {split!r} of its data set {path} cannot be had: "
                f"{error_text(error)}{hint}"
            ) from None

    def _files(self, given: Any, split: str) -> Any:
        """The files of one split, so that no other is opened."""
        if isinstance(given, Mapping):
            if split not in given:
                raise KeyError(f"data_files has {', '.join(given)}, not {split}")
            return {split: self._placed(given[split])}
        return self._placed(given)

    def _placed(self, files: Any) -> Any:
        if isinstance(files, list | tuple):
            return [self._placed(file) for file in files]
        beside = self._folder / str(files)
        return str(beside) if beside.is_file() else files
