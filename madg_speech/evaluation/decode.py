"""Runs a system over references, language by language: a finished language is never decoded twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from madg_speech.audio import Waveform, load_audio
from madg_speech.cache import atomic_path
from madg_speech.data.manifest import Utterance
from madg_speech.errors import AudioError, ConfigError
from madg_speech.evaluation.hypotheses import Hypothesis, read_hypotheses, write_hypotheses
from madg_speech.evaluation.systems import System
from madg_speech.progress import progress

SECONDS_PER_BATCH = 90.0
DESCRIPTION = "system.json"


def decode(
    system: System,
    references: Mapping[str, Sequence[Utterance]],
    folder: Path,
    fresh: bool = False,
    seconds_per_batch: float = SECONDS_PER_BATCH,
) -> None:
    """Write ``folder/<lang>.jsonl`` for each language, in the order of its references.

    A language whose file is there, names the same ids and is younger than the audio is skipped.
    Utterances that cannot be decoded keep their line, with an empty text and the error.

    Args:
        system: what transcribes.
        references: language -> utterances.
        folder: the system's own.
        fresh: redo finished languages.
        seconds_per_batch: rows x longest row, in seconds of audio.

    Raises:
        ConfigError: the folder holds hypotheses of a system with another description.
    """
    _claim(folder, system, fresh)
    todo = [
        language
        for language, utterances in references.items()
        if not _finished(folder / f"{language}.jsonl", utterances)
    ]
    total = sum(u.seconds for language in todo for u in references[language])
    with progress(system.name, total) as advance:
        for language in todo:
            utterances = references[language]
            done = _decode_language(system, language, utterances, seconds_per_batch, advance)
            write_hypotheses(folder / f"{language}.jsonl", done)


def _claim(folder: Path, system: System, fresh: bool) -> None:
    description = system.describe()
    path = folder / DESCRIPTION
    if path.is_file() and not fresh:
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = sorted(
            key
            for key in before.keys() | description.keys()
            if before.get(key) != description.get(key)
        )
        if changed:
            raise ConfigError(
                f"{folder} holds hypotheses of another system (differs in {', '.join(changed)}): "
                "--fresh redoes them, or choose another --output"
            )
        return
    shutil.rmtree(folder, ignore_errors=True)
    with atomic_path(path) as draft:
        draft.write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")


def _finished(path: Path, utterances: Sequence[Utterance]) -> bool:
    if not path.is_file():
        return False
    written = path.stat().st_mtime
    younger = (u.audio.is_file() and u.audio.stat().st_mtime > written for u in utterances)
    names = [hypothesis.id for hypothesis in read_hypotheses(path)[0]]
    return names == [u.id for u in utterances] and not any(younger)


def _decode_language(
    system: System,
    language: str,
    utterances: Sequence[Utterance],
    seconds_per_batch: float,
    advance: Callable[[float], None],
) -> list[Hypothesis]:
    condition = system.condition(language)
    texts: dict[str, str] = {}
    errors: dict[str, str] = {}
    for batch in _batches(utterances, seconds_per_batch):
        heard = [(u, waveform) for u in batch if (waveform := _hear(u, system, errors)) is not None]
        if heard:
            said = system.transcribe([waveform for _, waveform in heard], language)
            texts |= {u.id: text for (u, _), text in zip(heard, said, strict=True)}
        advance(sum(u.seconds for u in batch))
    return [
        Hypothesis(u.id, texts.get(u.id, ""), language, condition, errors.get(u.id))
        for u in utterances
    ]


def _hear(utterance: Utterance, system: System, errors: dict[str, str]) -> Waveform | None:
    try:
        waveform = load_audio(utterance.audio)
    except AudioError as error:
        errors[utterance.id] = str(error)
        return None
    seconds = len(waveform) / 16000
    if seconds > system.max_seconds:
        errors[utterance.id] = f"{seconds:.1f} s: the system takes {system.max_seconds:.0f} s"
        return None
    return waveform


def _batches(utterances: Sequence[Utterance], seconds: float) -> Iterator[list[Utterance]]:
    """Utterances by length, longest first (the largest batch fails at once, if one does)."""
    batch: list[Utterance] = []
    for utterance in sorted(utterances, key=lambda u: (-u.seconds, u.id)):
        if batch and (len(batch) + 1) * batch[0].seconds > seconds:
            yield batch
            batch = []
        batch.append(utterance)
    if batch:
        yield batch
