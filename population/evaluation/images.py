"""Images as models get them: the tokens that stand for one in a prompt, and its pixels.

Both are what the processor in the founders' folder makes of it, so every family of vision-language
models that transformers has is asked as it was trained. An image is read once: the processor gets
it with a prompt of its placeholder alone, and what it makes of that takes the placeholder's place
in any prompt. Numbers for each token (`mm_token_type_ids` of Qwen2-VL) follow the tokens; all else
(pixels, grids, masks) goes to the network as it is, image after image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import torch

from arena.errors import TaskError
from lineage.records import ImageFile

KEEP_IN_MEMORY = 256 << 20
"""Bytes of pixels that are kept."""

_NOT_NEEDED = frozenset({"input_ids", "attention_mask"})


@dataclass(frozen=True, eq=False)
class ImageInputs:
    """What a network gets of the images of a prompt.

    Attributes:
        per_token: numbers for each token of the prompt, by the name that the network knows.
        tensors: pixels and what describes them, by name; the first dimension counts images or
            pieces of them, or prompts (Idefics3).
    """

    per_token: Mapping[str, tuple[int, ...]]
    tensors: Mapping[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class ImageTokens:
    """One image, as it stands in a prompt.

    Attributes:
        ids: the tokens that stand for it.
        per_token: as in `ImageInputs`, for these tokens.
        tensors: as in `ImageInputs`.
    """

    ids: tuple[int, ...]
    per_token: Mapping[str, tuple[int, ...]]
    tensors: Mapping[str, torch.Tensor]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(tensor.nbytes for tensor in self.tensors.values())


class ImageReader:
    """Reads images with the processor of a founder; threads may share it.

    Args:
        path: the founder's folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._processor: Any = None
        self._lock = Lock()
        self._kept: dict[str, ImageTokens] = {}
        self._around: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
        self._lone: tuple[int, int] = (0, 0)

    def __deepcopy__(self, memo: dict[int, Any]) -> ImageReader:
        """Itself: threads may share it."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens a processor of its own."""
        return ImageReader, (self._path,)

    @property
    def mark(self) -> str:
        """What stands for an image in a text that the tokenizer reads.

        Raises:
            TaskError: there is no processor for images, or a library is missing.
        """
        with self._lock:
            self._open()
        return str(self._processor.image_token)

    def read(self, image: ImageFile) -> ImageTokens:
        """The tokens and pixels of an image.

        Raises:
            TaskError: it is missing, no image, or another one than it was.
        """
        with self._lock:
            if image.sha256 not in self._kept:
                self._open()
                made = self._read(image)
                used = sum(one.size for one in self._kept.values())
                while self._kept and used + made.size > KEEP_IN_MEMORY:
                    used -= self._kept.pop(next(iter(self._kept))).size
                self._kept[image.sha256] = made
            return self._kept[image.sha256]

    def _open(self) -> None:
        if self._processor is not None:
            return
        from transformers import AutoConfig, AutoProcessor  # noqa: PLC0415 - only where images are

        try:
            processor = AutoProcessor.from_pretrained(self._path, trust_remote_code=False)
            config = AutoConfig.from_pretrained(self._path, trust_remote_code=False)
        except ImportError as error:
            raise TaskError(_missing_library(error)) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise TaskError(
                f"it shows an image, and {self._path} has no processor for that: {reason}"
            ) from None
        if getattr(processor, "image_processor", None) is None:
            raise TaskError(f"it shows an image, and the model in {self._path} sees none")
        start, end = (getattr(config, f"vision_{end}_token_id", None) for end in ("start", "end"))
        if isinstance(start, int) and isinstance(end, int):
            self._around = (start,), (end,)
        # A tokenizer may put tokens around whatever it encodes.
        tokenizer = processor.tokenizer
        plain = tokenizer.encode(processor.image_token, add_special_tokens=False)
        whole = tokenizer.encode(processor.image_token)
        before = next(n for n in range(len(whole)) if whole[n : n + len(plain)] == plain)
        self._lone = before, len(whole) - before - len(plain)
        self._processor = processor

    def _read(self, image: ImageFile) -> ImageTokens:
        try:
            from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise TaskError(_missing_library(error)) from None
        try:
            content = Path(image.path).read_bytes()
            if hashlib.sha256(content).hexdigest() != image.sha256:
                raise TaskError(f"image {image.path} is another one than it was; put it back")
            with Image.open(image.path) as opened:
                pixels = opened.convert("RGB")
        except UnidentifiedImageError:
            raise TaskError(f"image {image.path} is no image that Pillow reads") from None
        except OSError as error:
            raise TaskError(f"image {image.path}: {error.strerror or error}") from None
        made = self._processor(
            text=[self._processor.image_token], images=[pixels], return_tensors="pt"
        )
        before, after = self._lone
        length = made["input_ids"].shape[1]
        inside = slice(before, length - after)
        start, end = self._around
        ids = (*start, *made["input_ids"][0, inside].tolist(), *end)
        per_token, tensors = {}, {}
        for name, values in made.items():
            if name in _NOT_NEEDED:
                continue
            if values.shape == made["input_ids"].shape:
                own = values[0, inside].tolist()
                per_token[name] = (*(0 for _ in start), *own, *(0 for _ in end))
            else:
                tensors[name] = values
        return ImageTokens(ids, per_token, tensors)


def _missing_library(error: ImportError) -> str:
    reason = next(iter(str(error).split("\n\n")), "").strip() or type(error).__name__
    return (
        "it shows an image, and reading images takes Pillow: pip install 'model-colony[images]' "
        f"({reason:.100})"
    )


def inputs_of(parts: Sequence[Sequence[int] | ImageTokens]) -> tuple[list[int], ImageInputs]:
    """A prompt of texts and images: its tokens, and what a network gets of the images.

    Args:
        parts: tokens of texts, and images between them; one image at least.
    """
    images = [part for part in parts if isinstance(part, ImageTokens)]
    ids: list[int] = []
    per_token: dict[str, list[int]] = {name: [] for name in images[0].per_token}
    for part in parts:
        own = part.ids if isinstance(part, ImageTokens) else part
        ids += own
        for name, values in per_token.items():
            shown = part.per_token[name] if isinstance(part, ImageTokens) else [0] * len(own)
            values.extend(shown)
    tensors = {
        name: _joined([image.tensors[name] for image in images], _dimension(images[0]))
        for name in images[0].tensors
    }
    return ids, ImageInputs({name: tuple(values) for name, values in per_token.items()}, tensors)


def _dimension(image: ImageTokens) -> int:
    """The dimension that counts the images of a prompt; Idefics3 has one for prompts before it."""
    pixels = image.tensors.get("pixel_values")
    return int(pixels is not None and pixels.dim() > PICTURE + 1)


PICTURE = 3
"""Dimensions of a picture: channels, rows and columns."""


def batched(
    inputs: Sequence[ImageInputs | None],
    starts: Sequence[int],
    length: int,
    device: torch.device,
) -> dict[str, torch.Tensor]:
    """What a network gets of the images of a batch beside its tokens, by name.

    Args:
        inputs: of each sequence; None for one without images.
        starts: where in its row each sequence begins.
        length: of the rows.
        device: where it goes.
    """
    shown = [one for one in inputs if one is not None]
    if not shown:
        return {}
    options = {name: _joined([one.tensors[name] for one in shown], 0) for name in shown[0].tensors}
    for name in shown[0].per_token:
        rows = torch.zeros((len(inputs), length), dtype=torch.long)
        for row, (one, start) in enumerate(zip(inputs, starts, strict=True)):
            values = () if one is None else one.per_token[name][: length - start]
            rows[row, start : start + len(values)] = torch.tensor(values, dtype=torch.long)
        options[name] = rows
    return {name: tensor.to(device) for name, tensor in options.items()}


def _joined(tensors: Sequence[torch.Tensor], dim: int) -> torch.Tensor:
    """Pixels, grids or masks of several images; pieces of zeros fill up where one has fewer."""
    others = [size for place, size in enumerate(tensors[0].shape) if place != dim]
    if dim or all(list(t.shape[1:]) == others for t in tensors):
        return torch.cat(list(tensors), dim)
    most = max(tensor.shape[1] for tensor in tensors)
    return torch.cat(
        [
            torch.cat([t, t.new_zeros((t.shape[0], most - t.shape[1], *t.shape[2:]))], dim=1)
            for t in tensors
        ]
    )
