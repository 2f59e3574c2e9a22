"""Recipes: the data model of a merge and its JSON form.

A recipe names its sources and lists steps; a step merges what was named before it, so a recipe is
a graph without cycles by construction, ancestors may be shared, and depth costs nothing but lines:

    {
      "recipe": 1,
      "sources": {"base": {"path": "models/base"}, "math": {"path": "models/math"}},
      "steps": [
        {"name": "calm", "method": "slerp", "base": "base", "models": [{"model": "math"}],
         "parameters": {"t": 0.4}},
        {"name": "deep", "method": "route", "models": [{"model": "calm"}, {"model": "math"}],
         "path": [[0, 0, 1.0], [0, 1, 1.0], [1, 1, 0.7], [0, 2, 1.0]]}
      ],
      "output": {"dtype": "bfloat16"}
    }

A parameter is a number, a gradient over the layers ([0, 0.5, 1]), a choice by tensor name
([{"filter": "mlp", "value": 0.2}, {"value": 0.5}]), or a number for each block
({"blocks": {"layer 0 attention": 0.1}}); the first three are mergekit's.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from population.errors import RecipeError
from population.merging.methods import METHODS
from population.references import anchored

Name = Annotated[str, StringConstraints(min_length=1)]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Number = Finite | bool

ASSEMBLE = "assemble"
"""The method of a step that puts parts of several models together; see `Step.parts`."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Choice(_Strict):
    """A value for the tensors whose name contains `filter`; for all without one."""

    value: Number | list[Number]
    filter: str | None = None


class PerBlock(_Strict):
    """A value for each block, by block name."""

    blocks: dict[str, Finite]


Setting = Number | list[Number] | Choice | list[Choice] | PerBlock
Parameters = dict[str, Setting | None]


class Source(_Strict):
    """A checkpoint.

    Attributes:
        path: a folder, a safetensors file, a GGUF file, a hub id; "base+adapter" applies a LoRA.
        weights_sha256: what its weights must hash to, where known.
    """

    path: Name
    weights_sha256: Hash | None = None


class Input(_Strict):
    """A model in a step, with parameters of its own; in a slice, a range of its layers."""

    model: Name
    layer_range: tuple[int, int] | None = None
    parameters: Parameters = {}


class Slice(_Strict):
    """Layers of the output: the given ranges of its sources, merged."""

    sources: list[Input] = Field(min_length=1)
    base: Name | None = None
    parameters: Parameters = {}


class Blocks(_Strict):
    """How the blocks of `PerBlock` are cut, see `population.models.blocks`.

    Attributes:
        granularity: what a block is.
        groups: how many parts tensors are cut into.
        part: the part of the network that is cut, see `population.families`; the others are one
            block together. All of it by default.
    """

    granularity: Literal["layer", "half", "group", "tensor", "slice"] = "half"
    groups: int = Field(2, ge=1)
    part: Name | None = None


class Step(_Strict):
    """One merge.

    Attributes:
        name: what later steps call the result.
        method: a merge method, "route", or "assemble".
        base: the base model, where the method has one.
        models: what to merge, whole.
        slices: or what to merge for which layers of the output.
        path: for a route, (model, layer, scale) for each layer of the output, where model is a
            place in `models`.
        parameters: for all models and slices that do not say otherwise.
        blocks: how blocks are cut, if a parameter is given per block.
        seed: of the methods that draw.
        part: merge this part of the networks alone (`population.families`); the result is a part.
        parts: for "assemble", which part comes from which model or step; all others, and the
            config, are those of the first of `models`.
    """

    name: Name
    method: Name
    base: Name | None = None
    models: list[Input] = []
    slices: list[Slice] = []
    path: list[tuple[int, int, Finite]] = []
    parameters: Parameters = {}
    blocks: Blocks | None = None
    seed: int = Field(0, ge=0)
    part: Name | None = None
    parts: dict[Name, Name] = {}

    @field_validator("models", mode="before")
    @classmethod
    def _plain_names(cls, value: Any) -> Any:
        if isinstance(value, list):
            return [{"model": item} if isinstance(item, str) else item for item in value]
        return value

    @model_validator(mode="after")
    def _one_form(self) -> "Step":
        if self.method == ASSEMBLE:
            return self._assembly()
        if self.method == "route":
            return self._route()
        if self.method not in METHODS:
            raise ValueError(
                f"unknown method {self.method!r}; there are {', '.join(METHODS)}, route, {ASSEMBLE}"
            )
        if bool(self.models) == bool(self.slices) or self.path or self.parts:
            raise ValueError("a step has either 'models' or 'slices'")
        if any(model.layer_range is not None for model in self.models):
            raise ValueError("'models' are merged whole; a layer_range belongs into 'slices'")
        allowed = {parameter.name for parameter in METHODS[self.method].parameters}
        parameter_sets = [self.parameters, *(m.parameters for m in self.models)]
        for slice_ in self.slices:
            parameter_sets += [slice_.parameters, *(source.parameters for source in slice_.sources)]
            if any(source.layer_range is None for source in slice_.sources):
                raise ValueError("every source of a slice needs a layer_range")
        for parameters in parameter_sets:
            if unknown := sorted(parameters.keys() - allowed):
                raise ValueError(
                    f"{self.method} has no parameter {unknown[0]!r}; it has "
                    f"{', '.join(sorted(allowed)) or 'none'}"
                )
            for name, value in parameters.items():
                if isinstance(value, PerBlock) and (self.blocks is None or self.slices):
                    raise ValueError(
                        f"{name} is set per block, which takes 'models' and 'blocks' (how they are "
                        'cut, such as {"granularity": "half"})'
                    )
        return self

    def _route(self) -> "Step":
        if not self.models or not self.path or self.slices:
            raise ValueError("a route has 'models' and a 'path'")
        given = self.base or self.blocks or self.parameters or self.part
        if given or any(model.parameters for model in self.models):
            raise ValueError("a route has no base, no parameters, no blocks and no part")
        return self

    def _assembly(self) -> "Step":
        if not self.parts or len(self.models) != 1:
            raise ValueError(f"{ASSEMBLE!r} puts 'parts' into one model of 'models'")
        rest = self.model_dump(exclude={"name", "method", "models", "parts"}, exclude_defaults=True)
        if rest or self.models[0].parameters:
            raise ValueError(f"{ASSEMBLE!r} has a model and 'parts', nothing else")
        return self

    def uses(self) -> list[str]:
        """The names of all models that it merges, without repetition, the base first."""
        names = [self.base] if self.base else []
        names += [model.model for model in self.models]
        for slice_ in self.slices:
            names += [slice_.base] if slice_.base else []
            names += [source.model for source in slice_.sources]
        names += self.parts.values()
        return list(dict.fromkeys(names))


class TokenRule(_Strict):
    """Where the embedding of a token comes from, as in mergekit's `tokenizer.tokens`."""

    source: str | dict[str, Any] | None = None
    force: bool = False


class TokenizerChoice(_Strict):
    """The vocabulary of the output, as in mergekit's `tokenizer`.

    Attributes:
        source: "union", "base", or the name of a source.
        tokens: embeddings of single tokens.
        pad_to_multiple_of: of the number of rows of the embedding.
    """

    source: str = "union"
    tokens: dict[str, TokenRule] = {}
    pad_to_multiple_of: int | None = Field(None, ge=1)


class Output(_Strict):
    """What is written.

    Attributes:
        dtype: of the weights; by default the widest among the sources'.
        tokenizer: needed if vocabularies differ.
        chat_template: a template's name or text; "auto" takes the most frequent among the sources.
        weights_sha256: what the result must hash to, where known.
    """

    dtype: Literal["float64", "float32", "float16", "bfloat16"] | None = None
    tokenizer: TokenizerChoice | None = None
    chat_template: str | None = None
    weights_sha256: Hash | None = None


class Recipe(_Strict):
    """Sources, steps, output. The last step is the result."""

    recipe: Literal[1] = 1
    sources: dict[Name, Source] = Field(min_length=1)
    steps: list[Step] = Field(min_length=1)
    output: Output = Output()
    mergekit_compat: bool = False

    @model_validator(mode="after")
    def _names_are_known(self) -> "Recipe":
        names = set(self.sources)
        for step in self.steps:
            if step.name in names:
                raise ValueError(f"two things are named {step.name!r}")
            if missing := [name for name in step.uses() if name not in names]:
                raise ValueError(
                    f"step {step.name!r} uses {missing[0]!r}, which is neither a source nor an "
                    "earlier step"
                )
            names.add(step.name)
        return self

    def text(self) -> str:
        """As JSON, without default values."""
        content = self.model_dump(mode="json", exclude_defaults=True)
        return json.dumps({"recipe": 1, **content}, ensure_ascii=False, indent=1) + "\n"

    def sha256(self) -> str:
        """The hash of everything but the sources' paths and the promised hash of the result."""
        content = self.model_dump(mode="json", exclude={"output": {"weights_sha256"}})
        for source in content["sources"].values():
            del source["path"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def parse_recipe(text: str, where: str) -> Recipe:
    """Parse the JSON form of a recipe.

    Args:
        text: the JSON.
        where: its file, for messages.

    Raises:
        RecipeError: it is no JSON, or invalid; names the place.
    """
    try:
        return Recipe.model_validate_json(text)
    except ValidationError as error:
        raise RecipeError(first_problem(error, where)) from None


def first_problem(error: ValidationError, where: str) -> str:
    """A validation error in one line: the first of the details that lie deepest.

    A parameter may have several forms, and the one that it nearly matches has the deepest details.
    """
    problem = max(error.errors(), key=lambda detail: len(detail["loc"]))
    place = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {place + ': ' if place else ''}{message}"


def with_paths_from(recipe: Recipe, folder: Path) -> Recipe:
    """A recipe with its source paths relative to a folder, where they exist there."""
    sources = {
        name: source.model_copy(update={"path": anchored(source.path, folder)})
        for name, source in recipe.sources.items()
    }
    return recipe.model_copy(update={"sources": sources})
