"""How large a pedigree is: ancestors, those that were recombined, and generations of descent."""

from dataclasses import dataclass

from lineage.ancestry.ancestry import Ancestry


@dataclass(frozen=True)
class PedigreeSize:
    """The size of a model's pedigree.

    Attributes:
        ancestors: how many it has, founders included.
        recombined: how many of them were born of two or more parents.
        generations: births on the longest line from a founder to the model, its own included.
    """

    ancestors: int
    recombined: int
    generations: int

    def __str__(self) -> str:
        return (
            f"{self.ancestors:,} ancestors, {self.recombined:,} of them born of two or more "
            f"parents, over {self.generations:,} generations of descent"
        )


def pedigree_size(ancestry: Ancestry, model: int) -> PedigreeSize:
    """The size of the pedigree of a model.

    Args:
        ancestry: of the whole archive.
        model: an id.
    """
    ancestors = ancestry.ancestors(model).tolist()
    depth: dict[int, int] = {}
    recombined = 0
    # Ids grow with birth, so ascending order meets every parent before its children.
    for one in [*ancestors, model]:
        parents = ancestry.parents(one)
        depth[one] = max((depth[parent] + 1 for parent in parents), default=0)
        recombined += one != model and len(parents) > 1
    return PedigreeSize(len(ancestors), recombined, depth[model])
