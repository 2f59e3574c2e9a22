"""Reading and writing mergekit's YAML: github.com/arcee-ai/mergekit, as of 0.1.5."""

import difflib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from population.errors import RecipeError
from population.merging.methods import METHODS
from population.merging.recipe import (
    ASSEMBLE,
    Input,
    Output,
    PerBlock,
    Recipe,
    Slice,
    Source,
    Step,
    TokenizerChoice,
    first_problem,
)
from population.references import exists, expand_user

RESULT = "merged"
_KEYS = {
    "merge_method",
    "base_model",
    "models",
    "modules",
    "slices",
    "parameters",
    "dtype",
    "out_dtype",
    "tokenizer",
    "tokenizer_source",
    "chat_template",
}
_INPUTS = ("models", "slices", "modules")
_REMARK_KEYS = {"name", "description", "author", "license", "version", "notes", "comment"}
MAX_VALUES = 10**6
"""Values in a configuration, at most. Aliases let a few lines of YAML stand for any number."""


def from_yaml(text: str, where: str, say: Callable[[str], None] = lambda _: None) -> Recipe:
    """Read a merge configuration of mergekit.

    Args:
        text: the YAML.
        where: its file, for messages and relative paths.
        say: called with a note for each part that is ignored, as mergekit ignores it.

    Raises:
        RecipeError: it is no YAML, invalid, or uses what only mergekit has.
    """
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        line = str(error).splitlines()[0]
        raise RecipeError(f"{where}: neither a recipe (JSON) nor YAML: {line}") from None
    if not isinstance(content, dict) or "merge_method" not in content:
        raise RecipeError(f"{where}: neither a recipe (JSON) nor a mergekit YAML (no merge_method)")
    if _is_larger(content, MAX_VALUES):
        raise RecipeError(f"{where}: its aliases stand for more than {MAX_VALUES} values")
    names = _Names(Path(where).parent)
    try:
        recipe, unused = _without_unused(content)
        for note in unused:
            say(f"note: {note}")
        return _recipe(recipe, names)
    except ValidationError as error:
        raise RecipeError(first_problem(error, where)) from None
    except KeyError as error:
        raise RecipeError(f"{where}: not as mergekit has it: a part lacks {error}") from None
    except ValueError as error:
        raise RecipeError(f"{where}: not as mergekit has it: {error}") from None
    except RecursionError:
        raise RecipeError(f"{where}: not as mergekit has it: nested too deep") from None
    except (TypeError, AttributeError) as error:
        raise RecipeError(f"{where}: not as mergekit has it: {error!r}") from None


def _is_larger(content: Any, limit: int) -> bool:
    """Whether content holds more values than a limit, with aliases expanded."""
    left = [content]
    while left and limit >= 0:
        value = left.pop()
        limit -= 1
        if isinstance(value, dict | list):
            left += value.values() if isinstance(value, dict) else value
            limit -= len(value)
    return limit < 0


def _without_unused(content: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A configuration without the parameters that its method lacks, and a note for each of them.

    Hub cards are full of `int8_mask` and `embed_slerp`; mergekit never looks at what its methods
    do not ask for. What may be a misspelt key is left to `_check_keys`.
    """
    method = METHODS.get(str(content["merge_method"]))
    if method is None:
        return dict(content), []
    known = {parameter.name for parameter in method.parameters if parameter.in_mergekit}
    unused: dict[str, None] = {}

    def cleaned(value: Any) -> Any:
        if isinstance(value, list):
            return [cleaned(item) for item in value]
        if not isinstance(value, dict):
            return value
        kept = {key: cleaned(v) for key, v in value.items() if key != "parameters"}
        parameters = value.get("parameters")
        if isinstance(parameters, dict):
            unused.update(dict.fromkeys(map(str, parameters.keys() - known)))
            kept["parameters"] = {key: v for key, v in parameters.items() if key in known}
        elif parameters is not None:
            kept["parameters"] = parameters
        return kept

    places = {key: cleaned(content[key]) for key in _INPUTS if key in content}
    rest = cleaned({key: value for key, value in content.items() if key not in places})
    notes = [_unused_message(method.name, name, known) for name in sorted(unused)]
    remarks = [key for key in rest if key in _REMARK_KEYS]
    notes += [f"{key!r} is ignored; it says nothing about the merge" for key in remarks]
    rest = {key: value for key, value in rest.items() if key not in _REMARK_KEYS}
    return {**rest, **places}, notes


def _unused_message(method: str, name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    perhaps = f"; did you mean {close[0]!r}?" if close else ""
    return f"{method} has no parameter {name!r}, which is ignored (mergekit does so too){perhaps}"


def _check_keys(entry: Mapping[str, Any], known: set[str]) -> None:
    """Refuse other keys; mergekit drops what it does not know, and so what was misspelt."""
    if unknown := sorted(map(str, entry.keys() - known)):
        raise ValueError(f"unknown key {unknown[0]!r}; here may be {', '.join(sorted(known))}")


def _recipe(content: Mapping[str, Any], names: "_Names") -> Recipe:
    _check_keys(content, _KEYS)
    for entry in content.get("slices") or []:
        _check_keys(entry, {"sources", "base_model", "parameters"})
    base = names.of(content.get("base_model"))
    given = [key for key in _INPUTS if content.get(key)]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} exclude each other; keep one of them")
    if content.get("modules"):
        steps = _module_steps(content, base, names)
    else:
        steps = [_step(content, content["merge_method"], base, names, RESULT)]
    tokenizer = None
    if content.get("tokenizer"):
        settings = dict(content["tokenizer"])
        tokens = settings.get("tokens") or {}
        settings["tokens"] = {
            token: {
                **rule,
                **({"source": names.in_rule(rule["source"])} if "source" in rule else {}),
            }
            for token, rule in tokens.items()
        }
        settings["source"] = _tokenizer_source(settings.get("source", "union"), names)
        tokenizer = TokenizerChoice.model_validate(settings)
    elif content.get("tokenizer_source"):
        tokenizer = TokenizerChoice(source=_tokenizer_source(content["tokenizer_source"], names))
    output = Output(
        dtype=content.get("out_dtype") or content.get("dtype"),
        tokenizer=tokenizer,
        chat_template=content.get("chat_template"),
    )
    return Recipe(sources=names.sources, steps=steps, output=output)


def _step(
    content: Mapping[str, Any], method: str, base: str | None, names: "_Names", name: str
) -> Step:
    """The step that a configuration's or a module's models or slices are."""
    models = [_input(entry, names) for entry in content.get("models") or []]
    # To mergekit a base is always one of the models, so an average counts it, listed or not.
    if models and base and method == "linear" and base not in {model.model for model in models}:
        models.append(Input(model=base))
    slices = [
        Slice(
            sources=[_input(source, names) for source in entry["sources"]],
            base=names.of(entry.get("base_model")),
            parameters=_parameters(entry),
        )
        for entry in content.get("slices") or []
    ]
    return Step(
        name=names.free(name),
        method=method,
        base=base,
        models=models,
        slices=slices,
        parameters=_parameters(content),
    )


def _module_steps(content: Mapping[str, Any], base: str | None, names: "_Names") -> list[Step]:
    """A step for each module, and the one that puts them together.

    A module of the base alone is taken as it is. mergekit writes no tensor of a module that is not
    named; here it stays that of the base, or of the first model.
    """
    steps: list[Step] = []
    parts: dict[str, str] = {}
    common = _parameters(content)
    for module, entry in content["modules"].items():
        _check_keys(entry, {"models", "slices", "parameters"})
        if bool(entry.get("models")) == bool(entry.get("slices")):
            raise ValueError(f"module {module!r} has either 'models' or 'slices'")
        for slice_ in entry.get("slices") or []:
            _check_keys(slice_, {"sources", "base_model", "parameters"})
        step = _step(entry, content["merge_method"], base, names, f"{RESULT} {module}")
        if base is not None and {model.model for model in step.models} == {base}:
            parts[module] = base
            continue
        parameters = {
            name: _with_fallback(step.parameters.get(name), common.get(name))
            for name in {**step.parameters, **common}
        }
        steps.append(step.model_copy(update={"part": module, "parameters": parameters}))
        parts[module] = steps[-1].name
    first = base or next(iter(names.sources))
    models = [Input(model=first)]
    return [*steps, Step(name=names.free(RESULT), method=ASSEMBLE, models=models, parts=parts)]


def _with_fallback(own: Any, common: Any) -> Any:
    """A parameter of a module; where none of its filters match, that of the whole configuration."""
    if own is None or common is None:
        return common if own is None else own
    if not isinstance(own, list) or not all(isinstance(one, dict) for one in own):
        return own
    return [*own, *(common if isinstance(common, list) else [{"value": common}])]


def _parameters(entry: Mapping[str, Any]) -> dict[str, Any]:
    parameters = {}
    for name, value in (entry.get("parameters") or {}).items():
        try:
            parameters[name] = _setting(value)
        except ValueError:
            raise ValueError(f"parameter {name}: expected a number, got {value!r}") from None
    return parameters


def _setting(value: Any) -> Any:
    """YAML reads 1e-5 as text; mergekit takes it for a number, as whoever wrote it does."""
    if isinstance(value, str):
        flag = {"true": True, "yes": True, "false": False, "no": False}.get(value.strip().lower())
        return float(value) if flag is None else flag
    if isinstance(value, list):
        return [_setting(item) for item in value]
    if isinstance(value, dict):
        return {key: _setting(v) if key == "value" else v for key, v in value.items()}
    return value


def _input(entry: Any, names: "_Names") -> Input:
    _check_keys(entry, {"model", "layer_range", "parameters"})
    layers = entry.get("layer_range")
    model = names.of(entry["model"])
    assert model is not None
    return Input(
        model=model,
        layer_range=tuple(layers) if layers else None,
        parameters=_parameters(entry),
    )


def _tokenizer_source(value: Any, names: "_Names") -> str:
    if value in ("union", "base"):
        return str(value)
    return names.of(value) or "union"


class _Names:
    """Short names for model references: the last part of the path, made unique.

    Args:
        folder: where relative paths are seen from.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._of_path: dict[str, str] = {}

    @property
    def sources(self) -> dict[str, Source]:
        """All sources so far."""
        return {name: Source(path=path) for path, name in self._of_path.items()}

    def of(self, reference: Any) -> str | None:
        """The name of a reference: "path", "path+lora", or {model: {path: ...}, lora: ...}."""
        if reference is None:
            return None
        path = _path(reference)
        if path not in self._of_path:
            is_path = exists(self._folder / expand_user(path, self._folder))
            self._of_path[path] = self.free(
                Path(path).name.removesuffix(".safetensors") if is_path else _short(path)
            )
        return self._of_path[path]

    def in_rule(self, source: Any) -> Any:
        """A token rule's source, with its model by name."""
        if isinstance(source, dict) and "model" in source and "kind" in source:
            return {**source, "model": self.of(source["model"])}
        return source if isinstance(source, dict) and "kind" in source else self.of(source)

    def free(self, wanted: str) -> str:
        """A name that is not taken."""
        name, number = wanted, 2
        while name in self._of_path.values():
            name, number = f"{wanted}-{number}", number + 1
        return name


def _path(reference: Any) -> str:
    if isinstance(reference, str):
        return reference
    model, lora = _path_and_revision(reference["model"]), reference.get("lora")
    return f"{model}+{_path_and_revision(lora)}" if lora else model


def _path_and_revision(part: Any) -> str:
    """A path, with its revision if one is asked for."""
    if not isinstance(part, dict):
        return str(part)
    return f"{part['path']}@{part['revision']}" if part.get("revision") else str(part["path"])


def _short(path: str) -> str:
    last = Path(path.rsplit("+", maxsplit=1)[-1]).name.removesuffix(".safetensors")
    return last.split("@", maxsplit=1)[0].strip() or "model"


def to_yaml(recipe: Recipe) -> str:
    """Write a recipe as mergekit's YAML.

    Raises:
        RecipeError: mergekit's YAML cannot express it; gives the reason.
    """
    if len(recipe.steps) != 1:
        raise RecipeError(
            f"mergekit's YAML has one step, this recipe has {len(recipe.steps)}; export it as JSON"
        )
    step = _as_mergekit_has_it(recipe.steps[0])
    if step.method == "route" and any(scale != 1 for _, _, scale in step.path):
        raise RecipeError(
            "mergekit has no scales between layers; this route can only be exported as JSON"
        )
    paths = {name: source.path for name, source in recipe.sources.items()}
    content: dict[str, Any] = {"merge_method": step.method}
    if step.base:
        content["base_model"] = paths[step.base]
    if step.method == "route":
        content["merge_method"] = "passthrough"
        content["slices"] = [
            {"sources": [{"model": paths[step.models[m].model], "layer_range": [first, stop]}]}
            for m, first, stop in _ranges(step.path)
        ]
    elif step.slices:
        content["slices"] = [
            {
                **({"base_model": paths[piece.base]} if piece.base else {}),
                "sources": [_source_yaml(source, paths) for source in piece.sources],
                **_parameters_yaml(piece.parameters),
            }
            for piece in step.slices
        ]
    else:
        content["models"] = [_source_yaml(model, paths) for model in step.models]
    content |= _parameters_yaml(step.parameters)
    output = recipe.output
    if output.dtype:
        content |= {"dtype": "float32", "out_dtype": output.dtype}
    if output.tokenizer:
        content["tokenizer"] = _tokenizer_yaml(output.tokenizer, paths)
    if output.chat_template:
        content["chat_template"] = output.chat_template
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    return text


def _as_mergekit_has_it(step: Step) -> Step:
    """A step without the parameters that mergekit lacks, where they are at their default.

    Raises:
        RecipeError: they are not.
    """
    if step.method not in METHODS:
        return step
    ours = {p.name: p.default for p in METHODS[step.method].parameters if not p.in_mergekit}
    models = []
    for model in step.models:
        for name, default in ours.items():
            if model.parameters.get(name, default) != default:
                raise RecipeError(f"mergekit's {step.method} has no {name!r}; export it as JSON")
        kept = {name: v for name, v in model.parameters.items() if name not in ours}
        models.append(model.model_copy(update={"parameters": kept}))
    return step.model_copy(update={"models": models})


def _source_yaml(source: Input, paths: Mapping[str, str]) -> dict[str, Any]:
    layers = {"layer_range": list(source.layer_range)} if source.layer_range else {}
    return {"model": paths[source.model], **layers, **_parameters_yaml(source.parameters)}


def _parameters_yaml(parameters: Mapping[str, Any]) -> dict[str, Any]:
    content = {}
    for name, value in parameters.items():
        if isinstance(value, PerBlock):
            raise RecipeError(
                "mergekit has no blocks; only where they are whole tensors can they be said with "
                "filters"
            )
        if isinstance(value, list):
            value = [v if isinstance(v, float | bool) else _choice(v) for v in value]  # noqa: PLW2901
        elif not isinstance(value, float | bool | None):
            value = _choice(value)  # noqa: PLW2901
        content[name] = value
    return {"parameters": content} if content else {}


def _choice(value: Any) -> dict[str, Any]:
    content: dict[str, Any] = value.model_dump(exclude_none=True)
    return content


def _tokenizer_yaml(choice: TokenizerChoice, paths: Mapping[str, str]) -> dict[str, Any]:
    content: dict[str, Any] = {"source": paths.get(choice.source, choice.source)}
    if choice.tokens:
        content["tokens"] = {
            token: _rule_yaml(rule.model_dump(exclude_defaults=True), paths)
            for token, rule in choice.tokens.items()
        }
    if choice.pad_to_multiple_of:
        content["pad_to_multiple_of"] = choice.pad_to_multiple_of
    return content


def _rule_yaml(rule: dict[str, Any], paths: Mapping[str, str]) -> dict[str, Any]:
    """A token's rule, with its model by path."""
    source = rule.get("source")
    if isinstance(source, str):
        return rule | {"source": paths.get(source, source)}
    if isinstance(source, dict) and source.get("model") in paths:
        return rule | {"source": source | {"model": paths[source["model"]]}}
    return rule


def _ranges(path: list[tuple[int, int, float]]) -> list[tuple[int, int, int]]:
    """A path as runs of consecutive layers of one model: (model, first, stop)."""
    runs: list[tuple[int, int, int]] = []
    for model, layer, _ in path:
        if runs and runs[-1][0] == model and runs[-1][2] == layer:
            runs[-1] = (model, runs[-1][1], layer + 1)
        else:
            runs.append((model, layer, layer + 1))
    return runs
