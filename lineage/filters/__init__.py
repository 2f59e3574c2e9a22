"""The filter language of `colony find`: `gen>100 and task:kanji>0.8 and founder:kanji>10%`.

::

    filter     = term { "or" term }
    term       = factor { "and" factor }
    factor     = "not" factor | "(" filter ")" | condition
    condition  = field [ operator value ]
    field      = name [ ":" argument ]
    operator   = ">" | ">=" | "<" | "<=" | "=" | "!=" | "~"      (~ is: contains)
    value      = number [ "%" ] | "#" id | word | text in quotes

A value that is missing (a score that was never taken) satisfies no comparison. The fields are in
`lineage.filters.fields`; to add one, add an entry there. Filters are parsed here and become SQL
with parameters in `lineage.queries.find`, so no text of a person or an archive is ever run.
"""

from lineage.filters.language import Condition, Expression, FilterError, Not, Several, parsed

__all__ = ["Condition", "Expression", "FilterError", "Not", "Several", "parsed"]
