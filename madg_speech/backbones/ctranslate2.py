"""Reads a CTranslate2 Whisper ``model.bin`` as transformers parameters.

The layout is the one that CTranslate2's ``ModelSpec._serialize`` writes (binary version 6,
github.com/OpenNMT/CTranslate2, python/ctranslate2/specs/model_spec.py), little-endian throughout::

    u32 version, string spec name, u32 spec revision, u32 number of variables
    each variable: string name, u8 rank, u32 dimensions..., u8 type, u32 bytes, data
    u32 number of aliases; each alias: string alias, string variable
    string: u16 length, then that many bytes, the last one zero
"""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from madg_speech.errors import BackboneError

Arrays = dict[str, npt.NDArray[Any]]

VERSION = 6
SPEC = "WhisperSpec"
TYPES = {0: "<f4", 1: "i1", 2: "<i2", 3: "<i4", 4: "<f2"}


def read_variables(data: bytes) -> Arrays:
    """Read all variables, named as in the file. The arrays are views into ``data``.

    Raises:
        BackboneError: not a version 6 ``WhisperSpec`` file, or one that is cut short.
    """
    reader = _Reader(data)
    version = reader.integer("I")
    if version != VERSION:
        raise BackboneError(
            f"not a CTranslate2 model of binary version {VERSION}: the file begins with {version}; "
            "convert openai/whisper-base again, or give a transformers folder"
        )
    spec = reader.string()
    if spec != SPEC:
        raise BackboneError(f"CTranslate2 model of type {spec!r}; expected {SPEC!r}")
    reader.integer("I")  # the revision of the spec changes no name that is read here
    return dict(reader.variable() for _ in range(reader.integer("I")))


def whisper_parameters(variables: Arrays) -> Arrays:
    """Rename variables to parameters of ``WhisperForConditionalGeneration``, in their own dtype.

    CTranslate2 stacks projections: ``linear_0`` of self-attention is query, key and value; of
    cross-attention it is the query and ``linear_1`` key and value. Whisper's key has no bias.

    Raises:
        BackboneError: weights that are quantised, or a variable that Whisper does not have.
    """
    parameters: Arrays = {}
    for name, array in variables.items():
        if not array.ndim or name == "decoder/alignment_heads":
            continue  # settings such as the number of heads, which the config holds
        if array.dtype.kind != "f":
            raise BackboneError(
                f"CTranslate2 variable {name} is {array.dtype}; expected float16 or float32: "
                "convert the model without quantisation"
            )
        parameters |= _rename(name, array)
    return parameters


OUTSIDE_LAYERS = {
    "embeddings/weight": "embed_tokens.weight",
    "position_encodings/encodings": "embed_positions.weight",
    "conv1/weight": "conv1.weight",
    "conv1/bias": "conv1.bias",
    "conv2/weight": "conv2.weight",
    "conv2/bias": "conv2.bias",
    "layer_norm/gamma": "layer_norm.weight",
    "layer_norm/beta": "layer_norm.bias",
}
KINDS = {"weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
MODULES = {
    "ffn/layer_norm": ["final_layer_norm"],
    "ffn/linear_0": ["fc1"],
    "ffn/linear_1": ["fc2"],
    "self_attention/layer_norm": ["self_attn_layer_norm"],
    "self_attention/linear_0": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    "self_attention/linear_1": ["self_attn.out_proj"],
    "attention/layer_norm": ["encoder_attn_layer_norm"],
    "attention/linear_0": ["encoder_attn.q_proj"],
    "attention/linear_1": ["encoder_attn.k_proj", "encoder_attn.v_proj"],
    "attention/linear_2": ["encoder_attn.out_proj"],
}


def _rename(name: str, array: npt.NDArray[Any]) -> Arrays:
    side, _, inner = name.partition("/")
    if inner in OUTSIDE_LAYERS:
        return {f"model.{side}.{OUTSIDE_LAYERS[inner]}": array}
    layer, _, place = inner.partition("/")
    module, _, kind = place.rpartition("/")
    if not layer.startswith("layer_") or module not in MODULES or kind not in KINDS:
        raise BackboneError(f"CTranslate2 variable {name!r} is none of Whisper's")
    prefix = f"model.{side}.layers.{layer.removeprefix('layer_')}"
    targets = MODULES[module]
    return {
        f"{prefix}.{target}.{KINDS[kind]}": part
        for target, part in zip(targets, np.split(array, len(targets)), strict=True)
        if not (target.endswith("k_proj") and kind == "bias")
    }


class _Reader:
    """Walks through the bytes; every read checks that they are there."""

    def __init__(self, data: bytes) -> None:
        self.data = memoryview(data)
        self.at = 0

    def take(self, size: int) -> memoryview:
        if self.at + size > len(self.data):
            raise BackboneError(
                f"CTranslate2 model cut short: byte {self.at + size} is needed, "
                f"the file has {len(self.data)}; fetch it again"
            )
        self.at += size
        return self.data[self.at - size : self.at]

    def integer(self, code: str) -> int:
        (value,) = struct.unpack(f"<{code}", self.take(struct.calcsize(code)))
        return int(value)

    def string(self) -> str:
        return bytes(self.take(self.integer("H"))).rstrip(b"\0").decode(errors="replace")

    def variable(self) -> tuple[str, npt.NDArray[Any]]:
        name = self.string()
        shape = [self.integer("I") for _ in range(self.integer("B"))]
        kind = self.integer("B")
        content = self.take(self.integer("I"))
        if kind not in TYPES:
            raise BackboneError(f"CTranslate2 variable {name!r} has unknown type {kind}")
        dtype = np.dtype(TYPES[kind])
        if len(content) != math.prod(shape) * dtype.itemsize:
            raise BackboneError(
                f"CTranslate2 variable {name!r} has {len(content)} bytes; "
                f"expected {math.prod(shape) * dtype.itemsize} for {shape} of {dtype}"
            )
        return name, np.frombuffer(content, dtype).reshape(shape)
