"""The terminal app: a campaign live or at rest. A guide for adding a page.

What is where
    `app`                    holds the snapshot, the heartbeat, the focus; nothing in it waits
    `pages/page`             `Page`, the base of all pages: `panes`, `draw`, `draw_heartbeat`,
                             `draw_focus`, `ask`
    `data/page_registry`     all pages as data: list a new one there, and its key, tab and palette
                             entry exist
    `data/snapshot`          all models as numpy columns, and values derived from them; pages read
                             nothing else
    `data/archive_watcher`   follows the files in a thread and posts `SnapshotRead`,
                             `HeartbeatRead` and `ArchiveTrouble`
    `data/query_worker`      queries of the archive beyond the snapshot, answered in another thread
    `data/focus`             the model in focus, the history, the mark: a value
    `actions`                what a person can do to a campaign, as data, and what can be done now;
                             `action_handlers` does it, `widgets/prompt_dialog` asks before,
                             `widgets/pending_commands` shows what is pending
    `widgets/virtual_list`   `VirtualList`, the one list: give it `ListedRows` (`drawing/rows`), or
                             `ModelRows` (`drawing/model_rows`) for any number of models
    `widgets/plot`           `Plot`, curves over births; `drawing/braille` draws them
    `widgets/chrome`         the top bar and the search line
    `widgets/help`,          made from bindings
    `commands`
    `drawing/labelled_text`  a label and its text, in as many rows as that takes: for details
    `tui.shared.styling`     tones to colours, signs in Unicode and ASCII, and `#id`s as links

How a page is written
    Subclass `Page`; `panes` yields widgets with the class "pane" and a `border_title`. `draw` gets
    a `Snapshot` whenever there is a new one. Text is rows of `Span` (as `lineage.drawing` makes
    them) or `Piece`: in `VirtualList` they are drawn row by row as they come into view, elsewhere
    `self.put("#name", rows)` shows them in a `Static`; every `#12` in them is a link that puts
    model 12 into focus. `app.focused_on.model` is the model in focus; `app.action_go`
    moves there, `app.glance` does so
    without the history, `app.open` shows the page "model" on top. Pages about one
    model follow it in `draw_focus`. What the snapshot does not hold is queried:

        self.ask("recipe", partial(recipe_of, model=12), self.show_recipe)

    `recipe_of(archive, model)` runs in a thread and may lease; `show_recipe` gets what it returns.
    Bindings have an id ("board.sort"), by which they are remapped, and a tooltip, which is what the
    help says. `tests/screen_helpers.py` has what tests of pages need.

Rules that keep it fast
    Before the first paint nothing loads numpy, duckdb or scipy, let alone torch: what needs them
    is imported inside `draw` or in a thread (`tests/test_imports.py`). A key press may take 5 ms
    with a million models: rows are made when they are painted, and nothing loops over all models in
    a handler. What painting costs is the distance between the first and the last line that change,
    so what need not change at once is not painted at once.
"""
