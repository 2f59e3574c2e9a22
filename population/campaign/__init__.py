"""A campaign on language models: its loop, state, item sampling, scoring and commits.

`opening_context` opens founders once; `context` is what models are made of and scored with:
`model_factory` makes them, `opened_tasks` has the items. `loop` runs generations; `state` is the
population as the archive has it; `champion` crowns; `generation_commit` builds a generation's
record; `commands` carries out what people ask for in between. Nothing is kept in memory that the
archive does not hold.
"""
