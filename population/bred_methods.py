"""The merge methods that campaigns breed, by name; what they do is in `population.merging`."""

LINEAR = "linear"

BRED_METHODS = (
    LINEAR,
    "ties",
    "dare_linear",
    "dare_ties",
    "della_linear",
    "della",
    "breadcrumbs",
    "breadcrumbs_ties",
)
"""The merge methods that campaigns breed. Genomes hold places in this row: append only."""

NORMALIZED = ("ties", "della")
"""Methods that divide by the sum of the weights unless they are told otherwise, as in mergekit."""

RANDOM = ("dare_linear", "dare_ties", "della_linear", "della")
"""Methods whose masks are drawn, so that their seed matters."""
