"""Chat templates by name, as mergekit's `chat_template` has them."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from population.errors import RecipeError
from population.json_files import read_optional_object

NAMED = {
    "chatml": (
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
        "{{ message['content'] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    "alpaca": (
        "{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] }}"
        "\n\n{% elif message['role'] == 'user' %}### Instruction:\n{{ message['content'] }}\n\n"
        "{% else %}### Response:\n{{ message['content'] }}{{ eos_token }}\n\n{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}### Response:\n{% endif %}"
    ),
    "llama3": (
        "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}"
        "<|end_header_id|>\n\n{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
    ),
    "mistral": (
        "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}"
        " {{ message['content'] }}{{ eos_token }}{% else %}[INST] {{ message['content'] }} [/INST]"
        "{% endif %}{% endfor %}"
    ),
    "exaone": (
        "{% for message in messages %}[|{{ message['role'] }}|]{{ message['content'] }}"
        "{% if message['role'] == 'user' %}\n{% else %}[|endofturn|]\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}[|assistant|]{% endif %}"
    ),
}


def chat_template(choice: str, folders: Iterable[Path]) -> str | None:
    """The template that a recipe chooses.

    Args:
        choice: "auto", a name in `NAMED`, or a Jinja template.
        folders: of the sources; "auto" takes the most frequent template among them.

    Returns:
        The template, or None if no source has one.

    Raises:
        RecipeError: it is neither a name nor a template.
    """
    if choice in NAMED:
        return NAMED[choice]
    if choice == "auto":
        counts = Counter(template for folder in folders if (template := _own_template(folder)))
        return counts.most_common(1)[0][0] if counts else None
    if "{" not in choice:
        raise RecipeError(
            f"chat_template {choice!r} is neither a Jinja template nor one of auto, "
            f"{', '.join(NAMED)}"
        )
    return choice


def _own_template(folder: Path) -> str | None:
    """A model's template: a file of its own, or as older models have it, among the settings."""
    try:
        if (folder / "chat_template.jinja").is_file():
            return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    settings = read_optional_object(folder / "tokenizer_config.json") or {}
    template = settings.get("chat_template")
    return template if isinstance(template, str) else None
