"""Model stock: interpolate from the base to the average by the angle between fine-tunes."""

import numpy as np

from population.merging.methods.linear import weighted_sum
from population.merging.methods.method import (
    Axis,
    Combination,
    Floats,
    Parameter,
    Settings,
    Subspace,
)

MERGEKIT_CLAMP = 1e-6


class ModelStock(Combination):
    """`t mean(x) + (1 - t) base` with `t = N c / (1 + (N - 1) c)` (arXiv 2403.19522, eq. 3).

    c is the mean cosine between task vectors. mergekit divides by at least 1e-6, which shrinks the
    cosine of small tensors (a vector of 576 that moved by 2e-5 per element gets t = 0.49 instead of
    0.93); here only task vectors of length 0 have no angle. Compat brings the clamp back.
    """

    name = "model_stock"
    source = "arXiv 2403.19522"
    counts = (2, 1 << 30)
    parameters = (Parameter("filter_wise", "an angle for each row", default=False),)
    needs_gram = True

    def axis(self, settings: Settings) -> Axis:
        """Rows with `filter_wise`, else the tensor."""
        return "rows" if settings.one("filter_wise") else "tensor"

    def combine(self, span: Subspace, settings: Settings) -> Floats:
        """Coordinates of the merged model: shape [units, basis]."""
        assert span.base is not None
        offsets = span.offsets()
        count = len(offsets)
        norms = [span.norm(offset) for offset in offsets]
        cosines = []
        for one in range(count):
            for other in range(one + 1, count):
                product = norms[one] * norms[other]
                if settings.compat:
                    product = np.maximum(product, MERGEKIT_CLAMP)
                cosine = span.dot(offsets[one], offsets[other])
                cosines.append(np.clip(cosine / np.where(product > 0, product, 1.0), -1.0, 1.0))
        cosine = np.mean(cosines, axis=0)
        denominator = 1 + (count - 1) * cosine
        opposed = np.abs(denominator) < 1e-6
        t = np.where(opposed, 0.0, count * cosine / np.where(opposed, 1.0, denominator))
        return span.base + weighted_sum(np.repeat(t[:, None] / count, count, axis=1), offsets)
