"""What scripts rely on: the keys of JSON output, whatever fields are called in the code."""

import json
from pathlib import Path

import pytest

from tests.command_helpers import colony
from tests.screen_helpers import finished


@pytest.mark.parametrize(
    ("command", "path", "keys"),
    [
        ("ancestry", (), "diversity fruitful founders lost causes"),
        ("ancestry", ("fruitful", 0), "id model part children descendants living label alive"),
        ("ancestry", ("founders", 0), "id founder label state share shares carriers last"),
        ("ancestry", ("causes", 0), "cause deaths first last age"),
        (
            "leaderboard",
            (0,),
            "id model name living champion rating interval round wins losses ties support judging",
        ),
        ("matches", (0, "a"), "model answer support verified"),
        ("orders", (0,), "id kind models argument given_at given settled outcome answer"),
        ("sources", ("sources", 0), "id model name path profile trouble"),
    ],
)
def test_json_has_the_keys_that_scripts_know(
    command: str, path: tuple[str | int, ...], keys: str, tmp_path: Path
) -> None:
    archive = finished(tmp_path, "arena")
    assert colony("pin", 333, "-a", archive)[0] == 0
    code, printed, error = colony(command, "-a", archive, "--json")
    assert (code, error) == (0, "")
    value = json.loads(printed)
    for step in path:
        value = value[step]
    assert " ".join(value) == keys
