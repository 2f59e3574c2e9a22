"""Checkpoints, adapters and recipes that are changed anywhere: one line, or a whole result."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import yaml
from safetensors.numpy import load_file, save_file

from tests.fuzz_yard import Yard, calls, toml, yard
from tests.fuzzing import Calls, ascii_only, cases, told, wrong_with
from tests.mutations import ODD, TEXTS, dumped, mutated_bytes, mutated_text, mutated_value

__all__ = ["calls", "yard"]

JSON_FILES = ("config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json")

CONFIG_KEYS = (
    "num_hidden_layers",
    "hidden_size",
    "vocab_size",
    "model_type",
    "architectures",
    "dtype",
    "torch_dtype",
    "tie_word_embeddings",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "rope_scaling",
    "rope_parameters",
    "rope_theta",
    "quantization_config",
    "auto_map",
    "eos_token_id",
    "pad_token_id",
    "max_position_embeddings",
    "intermediate_size",
    "hidden_act",
    "layer_types",
    "rms_norm_eps",
    "attention_bias",
    "text_config",
    "sliding_window",
    "transformers_version",
)


def with_header(data: bytes, header: bytes, length: int | None = None) -> bytes:
    (old,) = struct.unpack("<Q", data[:8])
    return struct.pack("<Q", len(header) if length is None else length) + header + data[8 + old :]


def changed_weights(rng: Random, data: bytes) -> bytes:
    """A safetensors file with a changed header, or changed bytes."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    names = [name for name in header if name != "__metadata__"]
    name, other = rng.choice(names), rng.choice(names)
    entry = header[name]
    change = rng.randrange(14)
    if change == 0:
        return mutated_bytes(rng, data)
    if change == 1:
        return data[: rng.randrange(len(data))]
    if change == 2:
        odd = rng.choice((0, 1, length - 1, length + 1, 2**31, 2**63, 2**64 - 1, 10**8 + 1))
        return struct.pack("<Q", odd) + data[8:]
    if change == 3:
        entry["dtype"] = rng.choice(
            ("F16", "F64", "I64", "BOOL", "F8_E4M3", "X", "", 1, None, "U8", "C64")
        )
    elif change == 4:
        begin, end = entry["data_offsets"]
        entry["data_offsets"] = rng.choice(
            (
                [end, begin],
                [-4, end],
                [begin, end + 4],
                [begin, 2**63],
                [0, 0],
                [begin],
                "x",
                None,
                [begin, end, 1],
                header[other]["data_offsets"],
                [float(begin), float(end)],
                [begin + 1, end + 1],
            )
        )
    elif change == 5:
        shape = entry["shape"]
        entry["shape"] = rng.choice(
            (
                shape[::-1],
                [*shape, 1],
                [1, *shape],
                shape[:-1],
                [],
                [0],
                [-1],
                [2**32, 2**32],
                "x",
                None,
                [1.5],
                [2**63, 2],
                [1] * 100,
                [None],
            )
        )
    elif change == 6:
        text = json.dumps(header)
        one = json.dumps({name: entry})[1:-1]
        return with_header(data, ("{" + one + "," + text[1:]).encode())
    elif change == 7:
        header["__metadata__"] = rng.choice(
            ({"format": "pt", "x": "y" * 5000}, {"a": 1}, [], "x", None, {"format": 1})
        )
    elif change == 8:
        header[rng.choice(TEXTS)[:200]] = header.pop(name)
    elif change == 9:
        header.pop(name)
    elif change == 10:
        header[name + ".extra"] = dict(entry)
    elif change == 11:
        return with_header(
            data, dumped(mutated_value(rng, header)).encode("utf-8", "surrogatepass")
        )
    elif change == 12:
        return with_header(
            data, mutated_text(rng, json.dumps(header)).encode("utf-8", "surrogatepass")
        )
    else:
        header[name], header[other] = header[other], header[name]
    return with_header(data, json.dumps(header).encode())


def split_up(folder: Path) -> None:
    """The same checkpoint in two shards with an index."""
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    half = len(names) // 2
    parts = {
        "model-00001-of-00002.safetensors": names[:half],
        "model-00002-of-00002.safetensors": names[half:],
    }
    for file, chosen in parts.items():
        save_file({name: tensors[name] for name in chosen}, folder / file, {"format": "pt"})
    index = {
        "metadata": {"total_size": sum(tensor.nbytes for tensor in tensors.values())},
        "weight_map": {name: file for file, chosen in parts.items() for name in chosen},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()


def changed_index(rng: Random, folder: Path) -> None:
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    places = index["weight_map"]
    name = rng.choice(list(places))
    change = rng.randrange(7)
    if change == 0:
        places[name] = rng.choice(
            ("none.safetensors", "../x", "/etc/passwd", "", ".", "config.json", 1, None, [])
        )
    elif change == 1:
        places["more"] = places[name]
    elif change == 2:
        places.pop(name)
    elif change == 3:
        next(iter(folder.glob("model-*"))).unlink()
    elif change == 4:
        shard = next(iter(folder.glob("model-*")))
        shard.write_bytes(changed_weights(rng, shard.read_bytes()))
    elif change == 5:
        index = mutated_value(rng, index)
    else:
        (folder / "model-00001-of-00002.safetensors").rename(folder / "elsewhere.safetensors")
    path.write_text(dumped(index))


def changed_json(rng: Random, path: Path) -> None:
    content = json.loads(path.read_text())
    change = rng.randrange(5)
    if change == 0:
        path.write_bytes(mutated_bytes(rng, path.read_bytes()))
        return
    if change in (1, 2) and path.name == "config.json":
        key = rng.choice(CONFIG_KEYS)
        content[key] = rng.choice(
            (*ODD, {"type": "x"}, {"rope_type": "linear", "factor": -1}, [3], "bfloat16")
        )
    else:
        content = mutated_value(rng, content)
    path.write_text(dumped(content))


def changed_checkpoint(rng: Random, source: Path, folder: Path) -> str:
    """A copy with something changed; what."""
    shutil.copytree(source, folder)
    change = rng.random()
    if change < 0.45:
        name = rng.choice((*JSON_FILES, "config.json", "config.json"))
        changed_json(rng, folder / name)
        return name
    if change < 0.75:
        path = folder / "model.safetensors"
        path.write_bytes(changed_weights(rng, path.read_bytes()))
        return "weights"
    if change < 0.9:
        split_up(folder)
        changed_index(rng, folder)
        return "index"
    path = folder / rng.choice((*JSON_FILES, "model.safetensors"))
    data = path.read_bytes()
    path.unlink()
    kind = rng.randrange(5)
    if kind == 0:
        path.mkdir()
    elif kind == 1:
        path.symlink_to("nowhere")
    elif kind == 2:
        path.write_bytes(b"")
    elif kind == 3:
        path.write_bytes(b"\xff\xfe" + data)
    return f"{path.name} {kind}"


def make_adapter(rng: Random, folder: Path) -> None:
    """A LoRA adapter on the tiny founders, with something changed."""
    folder.mkdir()
    config: Any = {
        "peft_type": "LORA",
        "r": 2,
        "lora_alpha": 4,
        "target_modules": ["q_proj"],
        "bias": "none",
        "fan_in_fan_out": False,
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "x",
        "use_rslora": False,
        "use_dora": False,
        "modules_to_save": None,
        "rank_pattern": {},
        "alpha_pattern": {},
        "init_lora_weights": True,
        "inference_mode": True,
    }
    tensors = {}
    noise = np.random.default_rng(rng.randrange(99))
    for layer in range(2):
        stem = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        tensors[f"{stem}.lora_A.weight"] = noise.normal(size=(2, 8)).astype(np.float32)
        tensors[f"{stem}.lora_B.weight"] = noise.normal(size=(8, 2)).astype(np.float32)
    path = folder / "adapter_model.safetensors"
    save_file(tensors, path, {"format": "pt"})
    change = rng.random()
    if change < 0.5:
        if rng.random() < 0.6:
            config[rng.choice(list(config))] = rng.choice(ODD)
        else:
            config = mutated_value(rng, config)
    elif change < 0.9:
        path.write_bytes(changed_weights(rng, path.read_bytes()))
    elif change < 0.95:
        path.unlink()
    (folder / "adapter_config.json").write_text(dumped(config))


def whole(folder: Path) -> str | None:
    """Whether what was merged can be read; why not."""
    if not folder.exists():
        return "nothing was written"
    for path in folder.glob("*.safetensors") if folder.is_dir() else [folder]:
        load_file(path)
    return None


def checkpoint_case(rng: Random, yard: Yard, calls: Calls, folder: Path) -> str | None:
    """Look at a changed checkpoint, merge it and, now and then, breed it."""
    folder.mkdir()
    if rng.random() < 0.2:
        make_adapter(rng, folder / "lora")
        odd, what = f"{yard.founders}/one+lora", "adapter"
    else:
        odd, what = "odd", changed_checkpoint(rng, yard.founders / "one", folder / "odd")
    try:
        look = calls(
            "inspect",
            *rng.sample([odd, str(yard.founders / "base")], 2),
            *rng.choice(((), ("--json",))),
            folder=folder,
        )
        if wrong := wrong_with(look, answers=True):
            return told(look, wrong, described(folder, what))
        recipe = {
            "merge_method": rng.choice(("linear", "slerp", "task_arithmetic", "passthrough")),
            "dtype": "float32",
        }
        models: list[dict[str, Any]] = [{"model": str(yard.founders / "base")}, {"model": odd}]
        if recipe["merge_method"] == "slerp":
            recipe |= {"base_model": models[0]["model"], "parameters": {"t": 0.5}}
        elif recipe["merge_method"] == "passthrough":
            models = models[1:]
        else:
            if recipe["merge_method"] == "task_arithmetic":
                recipe["base_model"] = models[0]["model"]
            models = [one | {"parameters": {"weight": 0.5}} for one in models]
        (folder / "r.yml").write_text(yaml.safe_dump(recipe | {"models": models}))
        ran = calls(
            "merge",
            "r.yml",
            "out",
            *rng.choice(((), ("--dry-run",), ("--json",), ("--pin",))),
            folder=folder,
        )
        wrong = wrong_with(ran)
        if wrong is None and ran.code == 0 and "--dry-run" not in ran.arguments:
            wrong = whole(folder / "out")
        if wrong is None and ran.code and (folder / "out").exists():
            wrong = "a refused merge left a folder"
        if wrong:
            return told(ran, wrong, described(folder, what))
        if rng.random() < 0.35:
            paths = [str(yard.founders / "base"), odd]
            (folder / "my.toml").write_text(toml(yard.config(founders={"paths": paths})))
            ran = calls(
                "run", "my.toml", "-a", "a.duckdb", "--headless", "--no-report", folder=folder
            )
            if wrong := wrong_with(ran):
                return told(ran, wrong, described(folder, what))
        return None
    finally:
        shutil.rmtree(folder)


def described(folder: Path, what: str) -> str:
    paths = (
        folder / "odd" / what,
        *(folder / "lora").glob("*.json"),
        *(folder / "odd").glob("*.index.json"),
    )
    texts = [
        f"{path.name}: {ascii_only(path.read_bytes()[:1500].decode('utf-8', 'replace'))}"
        for path in paths
        if path.is_file() and path.suffix == ".json"
    ]
    return what + "\n" + "\n".join(texts)


def test_changed_checkpoints(yard: Yard, calls: Calls, tmp_path: Path) -> None:
    for number, rng in enumerate(cases("checkpoints", 5)):
        assert checkpoint_case(rng, yard, calls, tmp_path / str(number)) is None


YAMLS: tuple[dict[str, Any], ...] = (
    {
        "merge_method": "linear",
        "dtype": "float32",
        "parameters": {"normalize": True},
        "models": [
            {"model": "m/one", "parameters": {"weight": 0.5}},
            {"model": "m/two", "parameters": {"weight": [0, 1]}},
        ],
    },
    {
        "merge_method": "ties",
        "base_model": "m/base",
        "dtype": "bfloat16",
        "models": [
            {"model": "m/one", "parameters": {"weight": 0.5, "density": 0.5}},
            {
                "model": "m/two",
                "parameters": {
                    "weight": [{"filter": "mlp", "value": 1}, {"value": 0.5}],
                    "density": 1,
                },
            },
        ],
        "parameters": {"normalize": True, "int8_mask": True},
    },
    {
        "merge_method": "slerp",
        "base_model": "m/base",
        "slices": [
            {
                "sources": [
                    {"model": "m/base", "layer_range": [0, 2]},
                    {"model": "m/one", "layer_range": [0, 2]},
                ]
            }
        ],
        "parameters": {"t": [{"filter": "self_attn", "value": [0, 0.5, 1]}, {"value": 0.5}]},
    },
    {
        "merge_method": "passthrough",
        "slices": [
            {"sources": [{"model": "m/one", "layer_range": [0, 2]}]},
            {"sources": [{"model": "m/two", "layer_range": [1, 2]}]},
        ],
        "dtype": "float16",
        "tokenizer_source": "base",
    },
    {
        "merge_method": "dare_ties",
        "base_model": "m/base",
        "tokenizer": {"source": "union"},
        "models": [
            {"model": "m/one", "parameters": {"weight": 0.5, "density": 0.5}},
            {"model": "m/two", "parameters": {"weight": 0.5}},
        ],
    },
)

RECIPES: tuple[dict[str, Any], ...] = (
    {
        "recipe": 1,
        "sources": {"a": {"path": "m/one"}, "b": {"path": "m/two"}},
        "steps": [
            {
                "name": "x",
                "method": "slerp",
                "base": "a",
                "models": [{"model": "b"}],
                "parameters": {"t": 0.4},
            },
            {
                "name": "y",
                "method": "route",
                "models": [{"model": "x"}, {"model": "b"}],
                "path": [[0, 0, 1.0], [1, 1, 0.7]],
            },
        ],
        "output": {"dtype": "float32"},
    },
    {
        "recipe": 1,
        "sources": {"base": {"path": "m/base"}, "b": {"path": "m/two"}},
        "steps": [
            {
                "name": "x",
                "method": "task_arithmetic",
                "base": "base",
                "models": [{"model": "b", "parameters": {"weight": [0.1, 0.4]}}],
                "seed": 3,
            }
        ],
        "output": {"dtype": "bfloat16"},
    },
)


def recipe_case(rng: Random, yard: Yard, calls: Calls, folder: Path) -> str | None:
    """Merge by a changed recipe."""
    folder.mkdir()
    (folder / "m").symlink_to(yard.founders)
    name = rng.choice(("r.yml", "r.json"))
    plain = rng.choice(YAMLS if name == "r.yml" else RECIPES)
    change = rng.randrange(4)
    if change < 2:
        text = dumped(mutated_value(rng, plain))
    else:
        whole_text = yaml.safe_dump(plain) if name == "r.yml" else json.dumps(plain, indent=1)
        text = mutated_text(rng, whole_text)
    content = text.encode("utf-8", "surrogatepass")
    if change == 3:
        content = mutated_bytes(rng, content)
    (folder / name).write_bytes(content)
    out = rng.choice(("out", "out", "out.safetensors"))
    options = rng.choice(
        ((), (), ("--dry-run",), ("--json",), ("--dry-run", "--json"), ("--mergekit-compat",))
    )
    ran = calls("merge", name, out, *options, folder=folder)
    wrong = wrong_with(ran)
    if wrong is None and ran.code == 0 and "--dry-run" not in options:
        wrong = whole(folder / out)
    if wrong is None and ran.code and (folder / out).exists():
        wrong = "a refused merge left something"
    shutil.rmtree(folder)
    return wrong and told(ran, wrong, ascii_only(content[:3000].decode("utf-8", "replace")))


def test_changed_recipes(yard: Yard, calls: Calls, tmp_path: Path) -> None:
    for number, rng in enumerate(cases("recipes", 10)):
        assert recipe_case(rng, yard, calls, tmp_path / str(number)) is None


def test_what_is_not_changed_is_merged(yard: Yard, calls: Calls, tmp_path: Path) -> None:
    """So that what is changed above is more than what was wrong from the start."""
    writers: dict[str, Callable[[Any], str]] = {"r.yml": yaml.safe_dump, "r.json": json.dumps}
    (tmp_path / "m").symlink_to(yard.founders)
    for name, plain in (("r.yml", YAMLS), ("r.json", RECIPES)):
        for number, recipe in enumerate(plain):
            (tmp_path / name).write_text(writers[name](recipe))
            ran = calls("merge", name, f"out-{name}-{number}", folder=tmp_path)
            assert (ran.code, wrong_with(ran)) == (0, None), told(ran, "not merged")
