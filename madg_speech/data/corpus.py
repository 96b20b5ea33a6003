"""A training corpus: manifests -> an Arrow table on disk with labels, and a count of what was left out."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from datasets import Dataset, disable_progress_bars, load_from_disk
from filelock import FileLock

from madg_speech.audio import SAMPLE_RATE
from madg_speech.backbones.base import FrontEnd
from madg_speech.cache import atomic_path, cache_dir
from madg_speech.config.data import DataConfig
from madg_speech.data.manifest import Utterance, read_manifest
from madg_speech.decoding.whisper_tokens import LONGEST
from madg_speech.errors import DataError, ManifestError
from madg_speech.text.vocabulary import ctc_frames_needed

FORMAT = 3
DESCRIPTION = "corpus.json"  # beside the table
SILENT = {
    "romanized": "whose text romanises to nothing",
    "phones": "whose text eSpeak NG cannot say",
    "whisper": "without text",
}


class Spelling(Protocol):
    """How texts become labels: a CTC vocabulary, or the tokens of Whisper's decoder.

    Attributes:
        kind: ``romanized``, ``phones`` or ``whisper``.
        symbols: what labels stand for.
    """

    @property
    def kind(self) -> str:  # noqa: D102
        ...

    @property
    def symbols(self) -> tuple[str, ...]:  # noqa: D102
        ...

    def transcripts(self, texts: Sequence[str], langs: Sequence[str | None]) -> list[str]:
        """What the model learns to write for texts in ``langs`` (ISO 639-3); perhaps nothing."""

    def encode(self, text: str) -> list[int]:
        """Labels of such a transcript."""


@dataclass(frozen=True)
class Corpus:
    """Utterances ready for training.

    Attributes:
        table: columns id, audio (path), audio_hash, lang, seconds, text, labels, source, license.
        left_out: reason -> ids of the utterances not in the table.
        fingerprint: changes with transcripts, the bytes of the audio and what is left out, not with
            where the files lie or when they were written: a run is resumed over copied data.
    """

    table: Dataset
    left_out: dict[str, list[str]]
    fingerprint: str

    @property
    def languages(self) -> list[str]:
        """ISO 639-3 codes present, sorted."""
        return sorted(set(self.table["lang"]))

    def summary(self) -> str:
        """One line: utterances, hours, languages, what is too little, every reason with its count."""
        hours = sum(self.table["seconds"]) / 3600
        line = f"{len(self.table)} utterances, {hours:.2f} h, {len(self.languages)} languages"
        single = [name for name, count in sorted(Counter(self.table["lang"]).items()) if count == 1]
        if single:
            line += f"; with a single utterance: {', '.join(single)}"
        return f"{line}; left out: {_count(self.left_out)}" if self.left_out else line


def _count(left_out: dict[str, list[str]]) -> str:
    return ", ".join(
        f"{len(ids)} {reason} (e.g. {ids[0]})" for reason, ids in sorted(left_out.items())
    )


def find_manifests(patterns: Sequence[str], root: Path) -> list[Path]:
    """Expand manifest paths and globs relative to ``root``; ManifestError for one that matches nothing.

    ``~`` and ``$NAME`` are replaced first; an absolute path does not look at ``root``.
    """
    found: list[Path] = []
    for pattern in patterns:
        place = root / Path(os.path.expandvars(pattern)).expanduser()
        matches = sorted(glob.glob(str(place), recursive=True))  # noqa: PTH207 (place may be absolute)
        if not matches:
            raise ManifestError(f"no manifest matches {place}")
        found += [Path(match) for match in matches]
    return found


def load_corpus(
    manifests: Sequence[Path],
    config: DataConfig,
    spelling: Spelling | None,
    front_end: FrontEnd,
) -> Corpus:
    """Read manifests, label the utterances, and keep the result as Arrow under the cache folder.

    Args:
        manifests: files, read in this order.
        config: what to leave out.
        spelling: of labels; None for audio alone: texts are not looked at, and may be missing.
        front_end: of the backbone; it knows how many frames an utterance has.

    Raises:
        ManifestError: a broken line, or audio files that do not exist.
        DataError: nothing usable is left.
    """
    transcribed = spelling is not None
    utterances = [u for manifest in manifests for u in read_manifest(manifest, transcribed)]
    folder = cache_dir() / "corpora" / _table_key(utterances, config, spelling, front_end)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):  # several processes of one run ask for the same table
        if not folder.is_dir():
            with atomic_path(folder) as draft:
                _build(utterances, config, spelling, front_end, draft)
    described = json.loads((folder / DESCRIPTION).read_text())
    return Corpus(load_from_disk(str(folder)), described["left_out"], described["fingerprint"])


def _build(
    utterances: Sequence[Utterance],
    config: DataConfig,
    spelling: Spelling | None,
    front_end: FrontEnd,
    folder: Path,
) -> None:
    excluded = frozenset(config.exclude_languages)
    licenses = frozenset(config.exclude_licenses)
    left_out: dict[str, list[str]] = {}
    kept: list[Utterance] = []
    for utterance in utterances:
        reason = None
        if utterance.lang in excluded:
            reason = "in excluded languages"
        elif utterance.license in licenses:
            reason = "under excluded licences"
        elif utterance.seconds > config.max_seconds:
            reason = f"longer than {config.max_seconds:g} s"
        if reason is None:
            kept.append(utterance)
        else:
            left_out.setdefault(reason, []).append(utterance.id)
    disable_progress_bars()
    workers = min(os.cpu_count() or 1, 8) if len(kept) > 2000 else None
    table = Dataset.from_list([_row(utterance) for utterance in kept])
    if kept:
        table = table.map(_label, batched=True, fn_kwargs={"spelling": spelling}, num_proc=workers)
        reasons = [
            None if spelling is None else _misfit(row, spelling.kind, front_end) for row in table
        ]
        for row_id, reason in zip(table["id"], reasons, strict=True):
            if reason:
                left_out.setdefault(reason, []).append(row_id)
        table = table.select([i for i, reason in enumerate(reasons) if reason is None])
    if len(table) == 0:
        raise DataError(f"no usable utterance is left of {len(utterances)}: {_count(left_out)}")
    table.save_to_disk(str(folder))
    described = {"left_out": left_out, "fingerprint": _fingerprint(table, left_out)}
    (folder / DESCRIPTION).write_text(json.dumps(described))


def _row(u: Utterance) -> dict[str, Any]:
    return {
        "id": u.id,
        "audio": str(u.audio),
        "lang": u.lang,
        "seconds": u.seconds,
        "text": u.text,
        "source": u.source or "",
        "license": u.license or "",
    }


def _label(rows: dict[str, list[Any]], spelling: Spelling | None) -> dict[str, list[Any]]:
    labels: list[list[int]] = [[] for _ in rows["id"]]
    if spelling is not None:
        labels = [spelling.encode(t) for t in spelling.transcripts(rows["text"], rows["lang"])]
    return {"labels": labels, "audio_hash": [audio_hash(Path(path)) for path in rows["audio"]]}


def _misfit(row: dict[str, Any], kind: str, front_end: FrontEnd) -> str | None:
    if not row["labels"]:
        return SILENT[kind]
    if kind == "whisper":
        over = len(row["labels"]) > LONGEST
        return f"with more than {LONGEST} tokens of text" if over else None
    if ctc_frames_needed(row["labels"]) > front_end.frames(int(row["seconds"] * SAMPLE_RATE)):
        return "with more text than CTC frames"
    return None


def audio_hash(path: Path) -> str:
    """Hash of an audio file's bytes (BLAKE2b, 16 bytes, hex): the key of cached features."""
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _fingerprint(table: Dataset, left_out: dict[str, list[str]]) -> str:
    digest = hashlib.blake2b(json.dumps(left_out).encode(), digest_size=16)
    for row in table.remove_columns("audio"):
        digest.update(json.dumps(row, sort_keys=True).encode())
    return digest.hexdigest()


def _table_key(
    utterances: Sequence[Utterance],
    config: DataConfig,
    spelling: Spelling | None,
    front_end: FrontEnd,
) -> str:
    digest = hashlib.blake2b(digest_size=16)
    rules = config.model_dump(exclude={"train", "dev", "dev_languages", "dev_per_language"})
    symbols = [None, None] if spelling is None else [spelling.kind, spelling.symbols]
    digest.update(json.dumps([FORMAT, rules, *symbols, str(front_end)]).encode())
    seen: Counter[str] = Counter()
    missing: list[Path] = []
    for u in utterances:
        seen[u.id] += 1
        try:
            state = u.audio.stat()
        except OSError:
            missing.append(u.audio)
            continue
        digest.update(f"{u}{state.st_size}{state.st_mtime_ns}".encode())
    if missing:
        raise ManifestError(f"{len(missing)} audio files do not exist, first {missing[0]}")
    twice = [name for name, count in seen.items() if count > 1]
    if twice:
        raise ManifestError(f"{len(twice)} ids stand in more than one manifest, first {twice[0]!r}")
    return digest.hexdigest()
