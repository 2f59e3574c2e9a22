"""The app: a colony on a screen, live or at rest. A page for whoever adds a screen.

What is where
    `app`        holds the snapshot, the pulse, the focus; nothing in it waits
    `pages`      all pages as data: list a new one here, and its key, tab and palette entry exist
    `page`       `Page`, the base of all screens: `panes`, `draw`, `draw_pulse`, `draw_focus`, `ask`
    `snapshot`   everybody as numpy columns, and what follows from them; screens read nothing else
    `reader`     follows the files in a thread and posts `Fresh`, `Beat` and `Trouble`
    `questions`  what is asked of the archive beyond the snapshot, answered in another thread
    `hands`      what a person can do to the colony as data, and which of it makes sense now;
                 `hands_on` does it, `ask` asks before, `underway` shows what is waited for
    `focus`      the model that everything is about, the history, the mark: a value
    `lines`      `Lines`, the one list: give it `rows.ListedRows`, or `model_rows.ModelRows` for
                 any number of models
    `plot`       `Plot`, curves over births; `braille` draws them
    `paint`      tones to colours, signs in Unicode and ASCII, and `#id`s that can be clicked
    `bars`       the top bar and the prompt; `help` and `commands` are made from bindings

How a page is written
    Subclass `Page`; `panes` yields widgets with the class "pane" and a `border_title`. `draw` gets
    a `Snapshot` whenever there is a new one. Text is rows of `Span` (as `lineage.drawing` makes
    them) or `Piece`: in `Lines` they are drawn row by row as they come into sight, elsewhere
    `self.put("#name", rows)` shows them in a `Static`; every `#12` in them is a link that puts
    model 12 into focus. `app.focused_on.model` is the model in focus; `app.action_go`
    moves there, `app.glance` in passing, `app.open` shows the page "model" on top. Pages about one
    model follow it in `draw_focus`. What the snapshot does not hold is asked for:

        self.ask("recipe", partial(recipe_of, model=12), self.show_recipe)

    `recipe_of(archive, model)` runs in a thread and may lease; `show_recipe` gets what it returns.
    Bindings have an id ("board.sort"), by which they are remapped, and a tooltip, which is what the
    help says. `tests/screen_helpers.py` has what tests of pages need.

Rules that keep it fast
    Before the first paint nothing loads numpy, duckdb or scipy, let alone torch: what needs them
    is imported inside `draw` or in a thread (`tests/test_imports.py`). A key press may take 5 ms
    with a million models: rows are made when they are painted, and nothing walks over everybody in
    a handler. What painting costs is the distance between the first and the last line that change,
    so what need not change at once is not painted at once.
"""
