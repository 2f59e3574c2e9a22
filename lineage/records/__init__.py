"""The rows of an archive as values: plain, frozen, and free of any database."""

from lineage.records.allowance import Allowance, allowance_of
from lineage.records.arrays import Floats
from lineage.records.commands import PAUSED, Command, CommandKind, CommandOutcome
from lineage.records.generations import (
    Event,
    Generation,
    GenerationRecord,
    OperatorRecord,
    SearchRecord,
)
from lineage.records.items import (
    IMAGE_MARK,
    ImageFile,
    Item,
    Message,
    images_in,
    stored_item,
)
from lineage.records.judges import Audit, Evidence, Juror, Label, Trust
from lineage.records.models import Birth, Block, Death, Founder, Model, Parent, parent_roles
from lineage.records.rounds import (
    Answer,
    Canary,
    MatchOutcome,
    PairComparison,
    Rating,
    Reading,
    Round,
    RoundItem,
    Verdict,
    Vote,
)
from lineage.records.scores import Scores
from lineage.records.studies import Study

__all__ = [
    "IMAGE_MARK",
    "PAUSED",
    "Allowance",
    "Answer",
    "Audit",
    "Birth",
    "Block",
    "Canary",
    "Command",
    "CommandKind",
    "CommandOutcome",
    "Death",
    "Event",
    "Evidence",
    "Floats",
    "Founder",
    "Generation",
    "GenerationRecord",
    "ImageFile",
    "Item",
    "Juror",
    "Label",
    "MatchOutcome",
    "Message",
    "Model",
    "OperatorRecord",
    "PairComparison",
    "Parent",
    "Rating",
    "Reading",
    "Round",
    "RoundItem",
    "Scores",
    "SearchRecord",
    "Study",
    "Trust",
    "Verdict",
    "Vote",
    "allowance_of",
    "images_in",
    "parent_roles",
    "stored_item",
]
