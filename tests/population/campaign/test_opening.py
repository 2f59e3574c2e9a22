"""How a campaign is opened on the machine that there is."""

import os
from pathlib import Path

import pytest

from population import Campaign, Config
from tests.conftest import FOUNDERS, SHIPPED, SMALL


def test_a_system_that_cannot_tell_which_cores_may_be_used_uses_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As macOS: only Linux has `os.sched_getaffinity`."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    config = Config.model_validate(
        SMALL
        | {
            "founders": {"paths": [str(SHIPPED / "founders" / f) for f in FOUNDERS]},
            "tasks": {"paths": [str(SHIPPED / "tasks" / "capital")]},
            "run": {},
        }
    )
    campaign = Campaign.start(tmp_path / "colony.duckdb", config)
    assert campaign.context.config.run.threads == os.cpu_count()
