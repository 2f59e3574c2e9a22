"""Vocabularies: models with different tokenizers are brought to one, row by row.

`align` decides which of its own embedding rows every model puts at every row of the merged
vocabulary, and what stands in where it has none. `aligned_rows` gathers those rows a slice at a
time, so that no embedding is ever held whole. `write_tokenizer` writes the tokenizer that goes with
them.

What users of other tools meet, and what is done about it here:

- New ordinary tokens do not become *added* tokens, which match greedily in raw text and so break
  ordinary words. They join the vocabulary of the tokenizer's model, with the merges that make them.
- No token of the tokenizer that is extended changes its id, and no row it has is cut off.
- A token whose id lies beyond its model's embedding has no row; it is dropped from the merged
  tokenizer rather than left there to fail when a text uses it.
"""

from population.merging.vocabulary.alignment import Alignment, Rows, align
from population.merging.vocabulary.overrides import TokenSource, token_sources
from population.merging.vocabulary.rows import Matrix, RowReader, aligned_rows, padding_row
from population.merging.vocabulary.tokenizer import Tokenizer, read_tokenizer
from population.merging.vocabulary.writing import write_tokenizer

__all__ = [
    "Alignment",
    "Matrix",
    "RowReader",
    "Rows",
    "TokenSource",
    "Tokenizer",
    "align",
    "aligned_rows",
    "padding_row",
    "read_tokenizer",
    "token_sources",
    "write_tokenizer",
]
