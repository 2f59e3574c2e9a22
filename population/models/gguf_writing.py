"""Checkpoints as GGUF files, which llama.cpp and Ollama run: F16 or Q8_0, without a hub.

Models of the Llama architecture with a byte-level BPE tokenizer (SmolLM2, Llama 3 without scaled
positions, ...) are written. All else is refused by name: GGUF has its own names for everything, and
a guess would make a file that loads and says nonsense.
"""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lineage.storage.atomic_file import whole_file
from population.errors import CheckpointError, PopulationError
from population.models.checkpoints import Checkpoint
from population.models.gguf_tokenizer import gguf_tokenizer
from population.models.opening import open_checkpoint

GgufType = Literal["f16", "q8_0"]
"""How matrices are stored; vectors are fp32."""

LARGEST_HALF = 65504.0
"""The largest number that F16 has."""

Progress = Callable[[int, int, str], None]

_EXPECTED: Mapping[str, tuple[object, str]] = {
    "hidden_act": ("silu", "another activation"),
    "attention_bias": (False, "biases in attention"),
    "mlp_bias": (False, "biases in feed-forward layers"),
}
"""What a config has to say, and what it has otherwise."""


def write_gguf(
    folder: Path, target: Path, kind: GgufType, progress: Progress = lambda *_: None
) -> None:
    """Write a checkpoint as a GGUF file, which appears complete or not at all.

    Args:
        folder: of the checkpoint, with its tokenizer.
        target: the file; must not exist.
        kind: how matrices are stored.
        progress: called with (bytes done, bytes in all, what); may raise to stop.

    Raises:
        CheckpointError: it is of an architecture, or has a tokenizer, that is not written; or a
            weight is too large for F16.
        PopulationError: the package is missing, or the file is there already.
    """
    checkpoint, config = check_gguf(folder, target)
    import gguf  # noqa: PLC0415 - an extra

    layers = int(config.num_hidden_layers)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, layers)
    try:
        with whole_file(target) as draft:
            writer = gguf.GGUFWriter(draft, "llama")
            _write_settings(writer, config, target.stem, kind)
            _write_tokenizer(writer, folder, checkpoint, config)
            stored = {
                name: own
                for name in checkpoint.tensors
                if not (name == "lm_head.weight" and config.tie_word_embeddings)
                and (own := names.get_name(name, try_suffixes=(".weight",))) is not None
            }
            if lacking := sorted(set(checkpoint.tensors) - set(stored) - {"lm_head.weight"}):
                raise CheckpointError(f"{folder}: {lacking[0]} has no name in GGUF")
            _write_tensors(writer, checkpoint, config, stored, kind, progress)
    except OSError as error:
        raise PopulationError(f"{target} cannot be written: {error}") from None


def check_gguf(folder: Path, target: Path) -> tuple[Checkpoint, Any]:
    """Make sure that models like this one can be written there; the checkpoint and its config.

    Args:
        folder: of a checkpoint.
        target: the file that is to be.

    Raises:
        CheckpointError: it is of an architecture, or has a tokenizer, that is not written.
        PopulationError: the package is missing, or the file is there already.
    """
    if find_spec("gguf") is None:
        raise PopulationError("GGUF needs another package: pip install 'model-colony[gguf]'")
    if target.exists():
        raise PopulationError(f"{target} exists already; choose another name or remove it")
    checkpoint = open_checkpoint(folder)
    config = _checked_config(checkpoint)
    gguf_tokenizer(folder, int(config.vocab_size))
    return checkpoint, config


def _checked_config(checkpoint: Checkpoint) -> Any:
    """The config, if a file of the architecture `llama` says all of it.

    Raises:
        CheckpointError: it does not.
    """
    from transformers import AutoConfig  # noqa: PLC0415 - seconds, and torch

    where = checkpoint.path
    kind = checkpoint.config.get("model_type")
    if kind != "llama":
        raise CheckpointError(f"{where} is a {kind} model; as GGUF those of llama are written")
    config = AutoConfig.from_pretrained(where, trust_remote_code=False)
    for key, (expected, instead) in _EXPECTED.items():
        if getattr(config, key, expected) != expected:
            raise CheckpointError(f"{where} has {instead} ({key}), which is not written as GGUF")
    positions = config.rope_parameters or {}
    if positions.get("rope_type", "default") != "default":
        raise CheckpointError(
            f"{where} scales its positions ({positions['rope_type']}), which is not written as GGUF"
        )
    return config


def _write_settings(writer: Any, config: Any, name: str, kind: GgufType) -> None:
    import gguf  # noqa: PLC0415 - an extra

    file_type = gguf.LlamaFileType
    writer.add_name(name)
    writer.add_type("model")
    writer.add_file_type(file_type.MOSTLY_F16 if kind == "f16" else file_type.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(_head_size(config))
    writer.add_value_length(_head_size(config))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base((config.rope_parameters or {}).get("rope_theta", 10_000.0))
    writer.add_rope_dimension_count(_head_size(config))
    writer.add_vocab_size(config.vocab_size)


def _head_size(config: Any) -> int:
    size = getattr(config, "head_dim", None)
    return int(size or config.hidden_size // config.num_attention_heads)


def _write_tokenizer(writer: Any, folder: Path, checkpoint: Checkpoint, config: Any) -> None:
    from transformers import AutoTokenizer  # noqa: PLC0415 - seconds, and torch

    written = gguf_tokenizer(folder, int(config.vocab_size))
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(written.pre)
    writer.add_token_list(written.tokens)
    writer.add_token_types(written.types)
    writer.add_token_merges(written.merges)
    for add, number in (
        (writer.add_bos_token_id, tokenizer.bos_token_id),
        (writer.add_eos_token_id, tokenizer.eos_token_id),
        (writer.add_unk_token_id, tokenizer.unk_token_id),
        (writer.add_pad_token_id, tokenizer.pad_token_id),
    ):
        if number is not None:
            add(number)
    begun = tokenizer.encode("a")[:1] == [tokenizer.bos_token_id]
    writer.add_add_bos_token(begun and tokenizer.bos_token_id is not None)
    writer.add_add_space_prefix(False)
    if isinstance(tokenizer.chat_template, str):
        writer.add_chat_template(tokenizer.chat_template)


def _write_tensors(
    writer: Any,
    checkpoint: Checkpoint,
    config: Any,
    stored: Mapping[str, str],
    kind: GgufType,
    progress: Progress,
) -> None:
    """Write all tensors, one at a time.

    Args:
        writer: with everything else.
        checkpoint: that they are of.
        config: of the model.
        stored: their names in GGUF, by their own.
        kind: how matrices are stored.
        progress: called with (bytes done, bytes in all, what).
    """
    import gguf  # noqa: PLC0415 - an extra

    kinds = gguf.GGMLQuantizationType
    types = {}
    for name, own in stored.items():
        shape = tuple(checkpoint.tensors[name].shape)
        block = gguf.GGML_QUANT_SIZES[kinds.Q8_0][0]
        matrix, even = len(shape) > 1, shape[-1] % block == 0
        types[name] = kinds.F32 if not matrix else (
            kinds.Q8_0 if kind == "q8_0" and even else kinds.F16
        )  # fmt: skip
        stored_shape = gguf.quant_shape_to_byte_shape(shape, types[name])
        quantised = types[name] == kinds.Q8_0
        dtype = np.dtype(
            np.uint8 if quantised else np.float16 if types[name] == kinds.F16 else np.float32
        )
        size = int(np.prod(stored_shape if quantised else shape)) * dtype.itemsize
        shown = stored_shape if quantised else shape
        writer.add_tensor_info(own, shown, dtype, size, types[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    total = sum(checkpoint.tensors[name].parameters for name in stored)
    done = 0
    for name in stored:
        progress(done, total, "writing GGUF")
        values = np.asarray(checkpoint.wide(name), dtype=np.float32)
        if types[name] == kinds.F16 and np.abs(values).max(initial=0.0) > LARGEST_HALF:
            raise CheckpointError(f"{checkpoint.name}: {name} has weights too large for F16")
        heads = _heads_of(name, config)
        if heads:
            values = by_pairs(values, heads)
        writer.write_tensor_data(gguf.quantize(values, types[name]))
        checkpoint.release(name)
        done += checkpoint.tensors[name].parameters
    writer.close()
    progress(total, total, "writing GGUF")


def _heads_of(name: str, config: Any) -> int:
    """The heads of a matrix whose rows stand in pairs in GGUF; 0 for all others."""
    if name.endswith("self_attn.q_proj.weight"):
        return int(config.num_attention_heads)
    return int(config.num_key_value_heads) if name.endswith("self_attn.k_proj.weight") else 0


def by_pairs(matrix: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """A query or key matrix with the two rows that a position turns together side by side.

    transformers has them half a head apart, llama.cpp side by side (its convert_hf_to_gguf.py,
    `permute`).

    Args:
        matrix: shape (heads x size, inputs).
        heads: how many.

    >>> by_pairs(np.arange(8, dtype=np.float32)[:, None], heads=2)[:, 0].tolist()
    [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]
    """
    rows, columns = matrix.shape
    turned = matrix.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2)
    return np.ascontiguousarray(turned.reshape(rows, columns))
