"""How tasks of the harness are referred to: by file or name, with a metric and a filter."""

import re

YAML = (".yaml", ".yml")
"""Endings of files that hold a task."""

_METRIC = re.compile(r":[\w@.-]+(,[\w@. -]+)?$")


def split_metric(reference: str) -> tuple[str, str]:
    """A reference in two parts: the file or name, and the metric with its colon.

    A metric stands behind a colon and, behind a comma, the filter whose finding it judges, as the
    harness writes both in its results.

    >>> split_metric("gsm8k:exact_match,flexible-extract"), split_metric("tasks/mine.yaml")
    (('gsm8k', ':exact_match,flexible-extract'), ('tasks/mine.yaml', ''))
    """
    found = None if reference.endswith(YAML) else _METRIC.search(reference)
    return (reference, "") if found is None else (reference[: found.start()], found.group())
