"""Extending a tokenizer's model by new tokens: pieces with scores, or merges that make them."""

from collections.abc import Sequence

from tokenizers import models

from population.merging.vocabulary.alignment import Alignment
from population.merging.vocabulary.tokenizer import Tokenizer
from population.models.tokenizer_failures import TAKE_ONE, loading


def unigram_pieces(
    alignment: Alignment, tokenizers: Sequence[Tokenizer]
) -> list[tuple[str, float]]:
    """(token, score) of a Unigram model, in id order.

    Added tokens get the lowest score of the chosen model: they match before it runs.
    """
    chosen = tokenizers[alignment.chosen]
    scores: dict[str, float] = {}
    for other in (chosen, *tokenizers):
        if other.kind == "Unigram":
            pieces = other.data["model"]["vocab"]
            scores = {token: score for token, score in pieces if token in other.tokens} | scores
    own = [score for token, score in chosen.data["model"]["vocab"] if token in chosen.tokens]
    lowest = min(own, default=0.0)
    for token in alignment.added:
        scores[token] = lowest
    ordered = sorted(alignment.tokens.items(), key=lambda pair: pair[1])
    return [(token, scores.get(token, lowest)) for token, _ in ordered]


def bpe_merges(alignment: Alignment, tokenizers: Sequence[Tokenizer]) -> list[tuple[str, str]]:
    """The merges of a BPE model: the chosen one's first, then those that make new tokens."""
    chosen = tokenizers[alignment.chosen]
    tokens, old_tokens = alignment.tokens, chosen.tokens
    prefix = chosen.data["model"].get("continuing_subword_prefix") or ""
    suffix = chosen.data["model"].get("end_of_word_suffix") or ""
    merges = _pairs(chosen)
    if chosen.out_of_range:
        merges = [
            (left, right)
            for left, right in merges
            if left in old_tokens
            and right in old_tokens
            and left + right.removeprefix(prefix) in old_tokens
        ]
    new = {token for token in tokens if token not in old_tokens and token not in alignment.added}
    if not new:
        return merges
    # A merge that makes a token of the chosen tokenizer in another way is left out: it would change
    # texts that have nothing to do with the new tokens.
    for other in tokenizers:
        if other is chosen or other.kind != "BPE":
            continue
        merges += [
            (left, right)
            for left, right in _pairs(other)
            if left + right.removeprefix(prefix) in new and left in tokens and right in tokens
        ]
    merges = list(dict.fromkeys(merges))
    return merges if prefix or suffix else _add_reaching_merges(merges, new, alignment, chosen)


def _add_reaching_merges(
    merges: list[tuple[str, str]], new: set[str], alignment: Alignment, chosen: Tokenizer
) -> list[tuple[str, str]]:
    """Add merges for new tokens whose own merges the earlier ones get in the way of.

    What the earlier merges leave of such a token's text, if it is two pieces, is merged.
    """
    settings = chosen.data["model"]
    unreached = [token for token in alignment.tokens if token in new]
    all_merges = dict.fromkeys(merges)
    while True:
        with loading(f"{chosen.name}: its tokenizer, with the merged vocabulary,", TAKE_ONE):
            model = models.BPE(
                vocab=dict(alignment.tokens),
                merges=list(all_merges),
                unk_token=settings.get("unk_token"),
                byte_fallback=bool(settings.get("byte_fallback")),
            )
        pieces_of = {token: [piece.value for piece in model.tokenize(token)] for token in unreached}
        pairs = {
            (pieces[0], pieces[1]): None
            for token, pieces in pieces_of.items()
            if len(pieces) == 2 and pieces[0] + pieces[1] == token
        }
        if pairs.keys() <= all_merges.keys():
            return list(all_merges)
        all_merges |= pairs
        unreached = [token for token, pieces in pieces_of.items() if len(pieces) > 1]


def _pairs(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    merges = tokenizer.data["model"]["merges"]
    parts = (merge if isinstance(merge, list) else merge.split(" ", 1) for merge in merges)
    return [(left, right) for left, right in parts]
