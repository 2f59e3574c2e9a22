"""The merge methods that campaigns breed, by name; what they do is in `population.merging`."""

LINEAR = "linear"

SCE = "sce"
"""The one that selects elements of all task vectors together, not of each by itself."""

BRED_METHODS = (
    LINEAR,
    "ties",
    "dare_linear",
    "dare_ties",
    "della_linear",
    "della",
    "breadcrumbs",
    "breadcrumbs_ties",
    SCE,
)
"""The merge methods that campaigns breed. Genomes hold places in this row: append only."""

NORMALIZED = ("ties", "della", SCE)
"""Methods that divide by the sum of the weights unless they are told otherwise, as in mergekit. SCE
always does."""

RANDOM = ("dare_linear", "dare_ties", "della_linear", "della")
"""Methods whose masks are drawn, so that their seed matters."""
