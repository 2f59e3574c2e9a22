"""An archive in which every text is hostile: names, tasks, prompts, answers, causes, paths, orders.

What it says may come from anywhere, so nothing of it may be taken for markup, be obeyed by a
terminal, or break a format. Texts are changed in an archive that a campaign made.
"""

from pathlib import Path

import duckdb

from tests.screen_helpers import finished

NAMES = (
    "qwen[v2]",
    "[bold]tag",
    "[/bold] x",
    "a & <b> \"q\" 's'",
    "modèle 猫🦜",
    "مرحبا [link=x]",
    "two\nlines\r",
    "\x1b[31mred\x07 \u202etxt",
    ":smile: $name {x} %s \\n",
)
"""A founder each, as far as there are founders."""

TASKS = ("[red]capital[/]", "sum & <i>\x1b]0;t\x07", "a\nb", ":bug: 'q'")


def hostile(folder: Path) -> Path:
    """Such an archive: of a campaign with rounds of the arena, all its texts changed."""
    path = finished(folder, "arena")
    with duckdb.connect(str(path)) as db:
        founders = db.execute("SELECT id FROM models WHERE kind = 'founder' ORDER BY id").fetchall()
        for (model,), name in zip(founders, NAMES, strict=False):
            where = f"/nowhere/{name}+[x]\x1b[2J"
            db.execute("UPDATE models SET name = ?, path = ? WHERE id = ?", [name, where, model])
        tasks = db.execute("SELECT DISTINCT task FROM items ORDER BY task").fetchall()
        for number, (old,) in enumerate(tasks):
            new = TASKS[number % len(TASKS)] + "!" * (number // len(TASKS))
            for table in ("items", "trust", "juries", "report_scores"):
                db.execute(f"UPDATE {table} SET task = ? WHERE task = ?", [new, old])
        db.execute("UPDATE items SET prompt = '[blink]' || prompt || chr(27) || '[31m'")
        db.execute("UPDATE items SET key = '[/]' || key || chr(7)")
        for table, columns in {
            "answers": ("answer",), "verdicts": (), "readings": ("answer",),
            "comparisons": ("better", "worse"), "canaries": ("answer",),
        }.items():  # fmt: skip
            for column in columns:
                db.execute(f"UPDATE {table} SET {column} = '[u]' || {column} || chr(27) || '[0m'")
        for table in ("readings", "comparisons", "trust", "audits"):
            db.execute(f"UPDATE {table} SET mode = '[s]' || mode || chr(27)")
        db.execute("UPDATE models SET cause = '[s]' || cause || chr(10) WHERE cause IS NOT NULL")
        db.execute("UPDATE models SET operator = '[i]' || operator || chr(27)")
        db.execute("UPDATE events SET detail = '[b]' || detail || chr(27) || '[2J'")
        db.execute("UPDATE blocks SET name = '[dim]' || name || chr(13)")
    return path
