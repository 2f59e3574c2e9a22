"""The identity of models: what tells them apart, and what proves that weights are theirs.

A birth is known by its fingerprint, which is computed at the speed of memory where the weights lie.
SHA-256 takes many times longer, and no passing candidate needs it: it is computed for founders and
for whoever is crowned, revived or exported. Archives that were started before there were
fingerprints, whose founders have none, go on by SHA-256.
"""

from dataclasses import dataclass

from lineage.records import Model
from population.models.checkpoints import Checkpoint
from population.weights.fingerprint import checkpoint_fingerprint, fingerprint
from population.weights.materialise import State, state_sha256


@dataclass(frozen=True)
class FounderHashes:
    """Hashes of an archive's founders, in its order; they say what identifies all its models.

    Attributes:
        sha256: of each founder's weights.
        fingerprints: of each founder's weights; None if models are known by their SHA-256.
    """

    sha256: tuple[str, ...]
    fingerprints: tuple[str, ...] | None

    @property
    def identities(self) -> tuple[str, ...]:
        """What tells the founders apart from each other, and from their offspring."""
        return self.fingerprints or self.sha256

    @property
    def stored_fingerprints(self) -> tuple[str | None, ...]:
        """The fingerprint of each founder as the archive has it."""
        return self.fingerprints or (None,) * len(self.sha256)

    def joined(self, founder: Checkpoint, sha256: str) -> "FounderHashes":
        """The same with another founder, the last one."""
        fingerprints = self.fingerprints
        if fingerprints is not None:
            fingerprints = (*fingerprints, checkpoint_fingerprint(founder))
        return FounderHashes((*self.sha256, sha256), fingerprints)


def identity_of(state: State, *, by_fingerprint: bool) -> str:
    """What tells weights from others: their fingerprint, or their SHA-256.

    Args:
        state: the weights, on any device.
        by_fingerprint: which of the two.
    """
    return fingerprint(state) if by_fingerprint else state_sha256(state)


def is_as_born(model: Model, state: State) -> bool:
    """Whether weights are those of a model, by every hash that its archive has of it."""
    if model.fingerprint is not None and fingerprint(state) != model.fingerprint:
        return False
    return model.weights_sha256 is None or state_sha256(state) == model.weights_sha256
