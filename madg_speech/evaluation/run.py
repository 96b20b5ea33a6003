"""Runs the systems that a user named over the manifests that a user named, into one folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from madg_speech.cache import atomic_path
from madg_speech.choices import DecoderName
from madg_speech.data.manifest import Utterance
from madg_speech.data.readers import read_speech
from madg_speech.errors import ConfigError, DataError
from madg_speech.evaluation.decode import DESCRIPTION, decode
from madg_speech.evaluation.folder import HYPOTHESES, by_language, write_leaks, write_references
from madg_speech.evaluation.hypotheses import Hypothesis, read_hypotheses, write_hypotheses
from madg_speech.evaluation.systems import System, load_checkpoint_systems
from madg_speech.languages import resolve
from madg_speech.text.romanize import romanize

BASELINES = ("hyp", "whisper", "mms")


def run_systems(
    folder: Path,
    manifests: Sequence[Path],
    checkpoints: Sequence[Path],
    adapters: Sequence[str] = ("generated",),
    baselines: Sequence[str] = (),
    languages: Sequence[str] = (),
    language: str | None = None,
    train_text: Sequence[Path] = (),
    device: str | None = None,
    fresh: bool = False,
    inventory: bool = False,
    decoder: DecoderName | None = None,
    prompt_temperature: float | None = None,
) -> None:
    """Fill an evaluation folder with references, leaks and the hypotheses of every system.

    Args:
        folder: what was finished in it by an earlier run is kept.
        manifests: what to evaluate on.
        checkpoints: folders; each is run with every one of ``adapters``.
        adapters: as ``CheckpointSystem`` takes them.
        baselines: ``hyp:FILE``, ``whisper[:MODEL]``, ``mms[:MODEL]``.
        languages: only these; all if empty.
        language: of manifests that do not say.
        train_text: training manifests for the leak filter; it is not run without any.
        device: ``cpu``, ``cuda`` ...
        fresh: decode finished languages again.
        inventory: run each checkpoint also masked by the languages' inventories of phones.
        decoder: of the checkpoints, as in :func:`madg_speech.transcribe.load`.
        prompt_temperature: likewise.

    Raises:
        ManifestError, DataError, CheckpointError, BackboneError, ConfigError, UnknownLanguageError:
            as their names say; all but those of a backbone before anything is decoded.
    """
    wrong = [b for b in baselines if b.partition(":")[0] not in BASELINES]
    if wrong:
        raise ConfigError(f"unknown baseline {wrong[0]!r}: expected hyp:FILE, whisper or mms")
    read = [u for path in manifests for u in read_speech(path, language)]
    references = by_language(read, languages)
    if checkpoints:
        for code in references:
            resolve(code)
    write_references(folder, references)
    if train_text:
        write_leaks(
            folder, references, [u for path in train_text for u in read_speech(path, language)]
        )
    names: set[str] = set()
    trained = chain.from_iterable(
        load_checkpoint_systems(one, adapters, device, inventory, decoder, prompt_temperature)
        for one in checkpoints
    )
    for system in chain(trained, _baselines(checkpoints, baselines, device)):
        if system.name in names:
            raise ConfigError(
                f"two systems are named {system.name!r}: rename one folder, no table could tell them apart"
            )
        names.add(system.name)
        decode(system, references, folder / HYPOTHESES / system.name, fresh)
    for file in (Path(argument) for kind, argument in map(_parted, baselines) if kind == "hyp"):
        if file.stem in names:
            raise ConfigError(f"two systems are named {file.stem!r}: rename {file}")
        names.add(file.stem)
        import_hypotheses(file, references, folder / HYPOTHESES)


def _baselines(
    checkpoints: Sequence[Path], baselines: Sequence[str], device: str | None
) -> Iterator[System]:
    """Each system as it is needed, so that one model at a time is in memory."""
    kinds = [(kind, argument) for kind, argument in map(_parted, baselines) if kind != "hyp"]
    if not kinds:
        return
    import torch

    from madg_speech.evaluation.baselines import (
        WHISPER_MODES,
        MmsBaseline,
        WhisperBaseline,
        WhisperDecoder,
    )

    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    for kind, argument in kinds:
        if kind == "whisper":
            decoder = WhisperDecoder(argument or _backbone(checkpoints), place)
            yield from (WhisperBaseline(decoder, mode) for mode in WHISPER_MODES)
        else:
            yield MmsBaseline(argument or "facebook/mms-1b-all", place)


def _parted(baseline: str) -> tuple[str, str]:
    kind, _, argument = baseline.partition(":")
    return kind, argument


def _backbone(checkpoints: Sequence[Path]) -> str:
    """The backbone of the first checkpoint: what its adapters are to improve on."""
    from madg_speech.checkpoint import checkpoint_folder, read_model_config

    if not checkpoints:
        return "openai/whisper-base"
    return read_model_config(checkpoint_folder(checkpoints[0])).backbone.name


def import_hypotheses(
    file: Path, references: Mapping[str, Sequence[Utterance]], folder: Path
) -> None:
    """Sort another system's hypotheses by language into ``folder/<stem of the file>``.

    They count as romanised if romanisation leaves every one of them as it is. What belongs to no
    utterance, and what stood there twice, is named in the description.

    Raises:
        DataError: as ``read_hypotheses``, or no id belongs to an utterance.
    """
    found, repeated = read_hypotheses(file)
    language_of = {u.id: language for language, rows in references.items() for u in rows}
    extra = [h.id for h in found if h.id not in language_of]
    if len(extra) == len(found):
        raise DataError(
            f"{file}: none of its {len(found)} ids is in the manifests; its first is {found[0].id!r}, "
            f"theirs is {next(iter(language_of))!r}"
        )
    sorted_out: dict[str, list[Hypothesis]] = {}
    for hypothesis in found:
        if hypothesis.id in language_of:
            sorted_out.setdefault(language_of[hypothesis.id], []).append(hypothesis)
    romanized = all(romanize(h.text) == h.text for h in found)
    description: dict[str, Any] = {
        "kind": "hypotheses",
        "file": str(file),
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "script": "romanized" if romanized else "native",
        "extra": extra,
        "repeated": repeated,
    }
    target = folder / file.stem
    shutil.rmtree(target, ignore_errors=True)
    for language, hypotheses in sorted_out.items():
        write_hypotheses(target / f"{language}.jsonl", hypotheses)
    with atomic_path(target / DESCRIPTION) as draft:
        draft.write_text(json.dumps(description, ensure_ascii=False, indent=1) + "\n", "utf-8")
