"""Images of items are shown as half blocks, or it is said why not."""

import hashlib
from pathlib import Path

from PIL import Image
from rich.style import Style

from lineage.records import ImageFile
from tui.shared.half_blocks import UPPER, half_blocks
from tui.shared.styling import Piece, segments

RED, BLUE, BLACK = (255, 0, 0), (0, 0, 255), (0, 0, 0)


def image(path: Path) -> ImageFile:
    return ImageFile(str(path), hashlib.sha256(path.read_bytes()).hexdigest())


def test_two_pixels_are_a_cell(tmp_path: Path) -> None:
    pixels = Image.new("RGB", (2, 3), RED)
    pixels.putpixel((1, 1), BLUE)
    pixels.save(tmp_path / "a.png")
    rows = half_blocks([image(tmp_path / "a.png")], 40)
    assert rows == [
        [Piece(UPPER, "#ff0000 on #ff0000"), Piece(UPPER, "#ff0000 on #0000ff")],
        [Piece(UPPER, "#ff0000 on #000000")] * 2,
    ]
    painted = segments(rows[0], {"plain": Style()})
    assert painted[1].style == Style.parse("#ff0000 on #0000ff")


def test_a_large_image_is_made_to_fit(tmp_path: Path) -> None:
    Image.new("RGB", (300, 100), RED).save(tmp_path / "a.png")
    rows = half_blocks([image(tmp_path / "a.png")], 30)
    assert (len(rows), len(rows[0])) == (5, 30)


def test_what_cannot_be_shown_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no image")
    file = image(tmp_path / "a.png")
    ((said,),) = half_blocks([file], 200)
    assert "no image that Pillow reads" in said.text
    (tmp_path / "a.png").write_text("another")
    ((said,),) = half_blocks([file], 200)
    assert "it has changed" in said.text
    (tmp_path / "a.png").unlink()
    ((said,),) = half_blocks([file], 200)
    assert "not there any more" in said.text
