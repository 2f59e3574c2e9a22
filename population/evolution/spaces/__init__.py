"""Search spaces: what a genome means, one file each. The evolver knows them as `SearchSpace`.

- `parameter`: a coefficient for each task vector in each block.
- `flow`: a path through the layers of the founders, with scales.
- `both`: a path through the layers of founders and of models merged from them.
"""

from population.evolution.spaces.space import SearchSpace, Space

__all__ = ["SearchSpace", "Space"]
