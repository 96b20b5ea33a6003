"""Speech data in other people's layouts, read as manifests are: Hugging Face datasets, Kaldi folders."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from madg_speech.audio import duration
from madg_speech.cache import atomic_path, cache_dir
from madg_speech.data.manifest import Utterance, read_manifest
from madg_speech.errors import ManifestError

ID_COLUMNS = ("id", "utt_id", "path")
TEXT_COLUMNS = ("text", "sentence", "transcription", "transcript")
LANGUAGE_COLUMNS = ("lang", "language", "locale")


def read_speech(path: Path, lang: str | None = None) -> list[Utterance]:
    """Read a JSONL manifest, a dataset written by ``save_to_disk``, or a Kaldi data folder.

    Args:
        path: a file is a manifest; a folder with ``wav.scp`` is Kaldi's, any other a dataset's.
        lang: language of all utterances of a folder that does not name one itself.

    Raises:
        ManifestError: not readable as any of these, or no language is given; names what is missing.
        AudioError: a recording whose length cannot be told.
    """
    if not path.is_dir():
        return read_manifest(path)
    if (path / "wav.scp").is_file():
        return list(_read_kaldi(path, lang))
    return list(_read_dataset(path, lang))


def _read_kaldi(folder: Path, lang: str | None) -> Iterator[Utterance]:
    """wav.scp, text, and optionally utt2spk, utt2lang, utt2dur (kaldi-asr.org, "Data preparation")."""
    texts = _table(folder / "text")
    recordings = _table(folder / "wav.scp")
    speakers, languages, seconds = (
        _table(folder / name) if (folder / name).is_file() else {}
        for name in ("utt2spk", "utt2lang", "utt2dur")
    )
    if (folder / "segments").is_file():
        raise ManifestError(
            f"{folder} cuts utterances out of recordings (segments): write one file an utterance first "
            "(Kaldi: extract-segments)"
        )
    silent = sorted(texts.keys() - recordings.keys())
    if silent:
        raise ManifestError(
            f"{folder / 'text'}: {len(silent)} ids are not in wav.scp, first {silent[0]!r}"
        )
    for name, text in texts.items():
        source = recordings[name]
        if source.endswith("|"):
            raise ManifestError(
                f"{folder / 'wav.scp'}: {name!r} is a command ({source}); expected a file, commands "
                "are not run"
            )
        audio = Path(source) if Path(source).is_absolute() else folder / source
        language = languages.get(name, lang)
        if language is None:
            raise ManifestError(f"{folder}: no language for {name!r}: add utt2lang, or give --lang")
        length = float(seconds[name]) if name in seconds else duration(audio)
        yield Utterance(name, audio.resolve(), text, language, length, speakers.get(name))


def _table(path: Path) -> dict[str, str]:
    """Lines of ``KEY VALUE...``; a repeated key is an error."""
    if not path.is_file():
        raise ManifestError(f"{path} not found; a Kaldi folder has wav.scp and text")
    rows: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        key, _, value = line.strip().partition(" ")
        if not key:
            continue
        if key in rows:
            raise ManifestError(f"{path}:{number}: id {key!r} was used before")
        rows[key] = value.strip()
    if not rows:
        raise ManifestError(f"{path}: empty")
    return rows


def _read_dataset(folder: Path, lang: str | None) -> Iterator[Utterance]:
    from datasets import Audio, DatasetDict, concatenate_datasets, load_from_disk

    try:
        table: Any = load_from_disk(str(folder))
    except (FileNotFoundError, ValueError) as error:
        raise ManifestError(
            f"{folder} is neither a Kaldi folder (wav.scp, text) nor a dataset on disk ({error})"
        ) from None
    if isinstance(table, DatasetDict):
        table = concatenate_datasets(list(table.values()))
    columns = table.column_names
    text = _column(columns, TEXT_COLUMNS, folder)
    language = next((name for name in LANGUAGE_COLUMNS if name in columns), None)
    if language is None and lang is None:
        raise ManifestError(f"{folder}: no column {' or '.join(LANGUAGE_COLUMNS)}: give --lang")
    key = next((name for name in ID_COLUMNS if name in columns), None)
    audio = _column(columns, ("audio",), folder)
    # Undecoded: datasets would need torchcodec to decode, and load_audio reads the same files.
    for number, row in enumerate(table.cast_column(audio, Audio(decode=False))):
        path = _audio_file(row[audio])
        yield Utterance(
            str(row[key]) if key else f"{folder.name}-{number:06d}",
            path,
            row[text] or "",
            str(row[language]) if language else str(lang),
            float(row["seconds"]) if row.get("seconds") else duration(path),
        )


def _column(columns: list[str], names: tuple[str, ...], folder: Path) -> str:
    found = next((name for name in names if name in columns), None)
    if found is None:
        raise ManifestError(
            f"{folder}: no column {' or '.join(names)}; it has {', '.join(sorted(columns))}"
        )
    return found


def _audio_file(cell: dict[str, Any]) -> Path:
    """A cell's file; one that is embedded in the table is written to the cache, named by its content."""
    if cell["bytes"] is None:
        return Path(cell["path"]).resolve()
    digest = hashlib.blake2b(cell["bytes"], digest_size=16).hexdigest()
    target = cache_dir() / "audio" / digest
    if not target.is_file():
        with atomic_path(target) as draft:
            draft.write_bytes(cell["bytes"])
    return target
