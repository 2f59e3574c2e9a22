"""Merge methods, one file per family, and their registry `METHODS`; to add one, list it there.

Names, parameters and arithmetic are mergekit's where it defines a method, computed in fp32
whatever the stored dtype. Where that differs from what mergekit 0.1.5 does, on purpose:

- model_stock: task vectors shorter than 1e-6 keep their angle (mergekit clamps the norms).
- sce: small task vectors keep their weights (mergekit equals them below a mean square of 1e-6).
- della: rows of length 1 are kept with probability `density` (mergekit divides 0 by 0), and ranks
  are those of fp32 magnitudes (in bf16 it tells 512 of 1536 ranks apart).
- dare: the density is not rounded to bf16 for bf16 models.
- ties, breadcrumbs: exactly as many elements are kept as asked for, and among equal magnitudes the
  position decides (mergekit's choice is arbitrary).
- arcee_fusion: quartiles are exact (mergekit samples large tensors), and the divergence is taken in
  fp64, because of close fine-tunes fp32 leaves only rounding (41 % of the divergences negative at
  differences of 2e-4).
- nuslerp: what is parallel or opposite up to fp32 rounding is interpolated linearly (mergekit's
  threshold, 1e-16, lies below that rounding, and opposite rows explode).
- multislerp: tensors that no model moved stay as they are (mergekit refuses three or more).
- a NaN or an infinity in a source is refused by name (mergekit's ties drops it without a word).
- masks are drawn per (seed, tensor, model), so that one tensor can be remade alone; mergekit draws
  all from one stream.

`compat` in the settings brings back the first two, for comparisons with mergekit's numbers.
"""

from population.merging.methods.arcee_fusion import ArceeFusion
from population.merging.methods.linear import Linear, Passthrough, TaskArithmetic
from population.merging.methods.method import Combination, Method, Streamed
from population.merging.methods.model_stock import ModelStock
from population.merging.methods.nearswap import NearSwap
from population.merging.methods.ram import Ram, RamPlus
from population.merging.methods.sce import Sce
from population.merging.methods.spherical import Karcher, MultiSlerp, NuSlerp, Slerp
from population.merging.methods.task_vectors import (
    Breadcrumbs,
    BreadcrumbsTies,
    DareLinear,
    DareTies,
    Della,
    DellaLinear,
    Ties,
)

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Linear(),
        TaskArithmetic(),
        Passthrough(),
        Slerp(),
        NuSlerp(),
        MultiSlerp(),
        Karcher(),
        ModelStock(),
        Ties(),
        DareLinear(),
        DareTies(),
        DellaLinear(),
        Della(),
        Breadcrumbs(),
        BreadcrumbsTies(),
        Sce(),
        NearSwap(),
        Ram(),
        RamPlus(),
        ArceeFusion(),
    )
}

__all__ = ["METHODS", "Combination", "Method", "Streamed"]
