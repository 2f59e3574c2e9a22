"""Records of studies: who learned, and what it took."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Study:
    """A model's study of labels that the colony made.

    Attributes:
        model: id of the founder that came of it.
        pupil: id of the model that studied.
        generation: the last one that was complete.
        epoch: whose labels were learned.
        items: how many of them.
        steps: of the optimiser.
        evaluations: item evaluations that it took, the scoring of who studied included.
        wall_s: seconds that it took.
        forward_s: seconds of them in passes through the network.
        cpu_s: seconds of processor time.
        tokens: that were read.
    """

    model: int
    pupil: int
    generation: int
    epoch: int
    items: int
    steps: int
    evaluations: int
    wall_s: float = 0.0
    forward_s: float = 0.0
    cpu_s: float = 0.0
    tokens: int = 0
