"""The signs that drawings and screens are made of. Loads nothing, since screens begin with it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Glyphs:
    """The characters that drawings are made of, each one cell wide.

    Attributes:
        champion: of all models, the best.
        living: may be picked as a parent.
        fossil: kept as a recipe only.
        founder: was brought in.
        more: has ancestors that are not drawn.
        cross: stands before another parent.
        skip: stands for rows that are left out.
        across: a line from left to right.
        down: a line from top to bottom.
        tee: a line that goes down and sends one to the right.
        elbow: the last of such lines.
        top: a line from the right that goes down.
        turn_down: a line from the left that goes down.
        turn_up: a line from the left that goes up.
        turn_down_right: a line from the right that goes down, in lanes.
        turn_up_right: a line from the right that goes up, in lanes.
        split: a line from the left that goes up and down.
        both: four lines that meet.
        fork: a line from left to right that sends one down.
        join: a line from left to right that one from above joins.
        shades: from nothing to much.
        bars: from little to much.
    """

    champion: str
    living: str
    fossil: str
    founder: str
    more: str
    cross: str
    skip: str
    across: str
    down: str
    tee: str
    elbow: str
    top: str
    turn_down: str
    turn_up: str
    turn_down_right: str
    turn_up_right: str
    split: str
    both: str
    fork: str
    join: str
    shades: str
    bars: str


UNICODE = Glyphs(
    champion="★",
    living="●",
    fossil="○",
    founder="◆",
    more="»",
    cross="×",
    skip="⋮",
    across="─",
    down="│",
    tee="├",
    elbow="└",
    top="┌",
    turn_down="╮",
    turn_up="╯",
    turn_down_right="╭",
    turn_up_right="╰",
    split="┤",
    both="┼",
    fork="┬",
    join="┴",
    shades=" ░▒▓█",
    bars="▁▂▃▄▅▆▇█",
)

ASCII = Glyphs(
    champion="*",
    living="@",
    fossil="o",
    founder="%",
    more=">",
    cross="x",
    skip=":",
    across="-",
    down="|",
    tee="+",
    elbow="`",
    top=",",
    turn_down=".",
    turn_up="'",
    turn_down_right=",",
    turn_up_right="`",
    split="+",
    both="+",
    fork=".",
    join="'",
    shades=" .:+#",
    bars=".:-=+*%#",
)
