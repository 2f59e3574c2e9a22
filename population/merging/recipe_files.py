"""Reading recipe files: the JSON form, or mergekit's YAML."""

from collections.abc import Callable
from pathlib import Path

from population.errors import RecipeError
from population.merging.mergekit import from_yaml
from population.merging.recipe import Recipe, parse_recipe, with_paths_from


def read_recipe(path: Path, say: Callable[[str], None] = lambda _: None) -> Recipe:
    """Read a recipe: JSON, or mergekit's YAML. Relative paths are relative to its folder.

    Args:
        path: its file.
        say: called with a note for each part of a YAML that is ignored.

    Raises:
        RecipeError: it cannot be read, or is invalid; names the place.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors put a byte order mark first
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise RecipeError(f"cannot read the recipe {path}: {reason}") from None
    if text.lstrip().startswith("{"):
        recipe = parse_recipe(text, str(path))
    else:
        recipe = from_yaml(text, str(path), say)
    return with_paths_from(recipe, path.parent)
