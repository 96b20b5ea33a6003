"""Speech data in other people's layouts, read as manifests are: Hugging Face datasets, Kaldi folders."""

from __future__ import annotations

import hashlib
from pathlib import Path

from madg_speech.audio import duration
from madg_speech.cache import atomic_path, cache_dir
from madg_speech.data import huggingface, kaldi
from madg_speech.data.manifest import Utterance, read_manifest
from madg_speech.data.rows import Embedded, LayoutError, Problem, Request, Row
from madg_speech.errors import ManifestError


def read_speech(path: Path, lang: str | None = None) -> list[Utterance]:
    """Read a JSONL manifest, a dataset written by ``save_to_disk`` or in parquet, or a Kaldi folder.

    Args:
        path: a file is a manifest; a folder with ``wav.scp`` is Kaldi's, any other a dataset's.
        lang: language of all utterances of a folder that does not name one itself.

    Raises:
        ManifestError: not readable as any of these, or no language is given; names what is missing.
        AudioError: a recording whose length cannot be told.
    """
    if not path.is_dir():
        return read_manifest(path)
    reader = kaldi if (path / "wav.scp").is_file() else huggingface
    try:
        found = [_utterance(row, path) for row in reader.rows(path, Request(lang))]
    except LayoutError as error:
        raise ManifestError(str(error)) from None
    seen: set[str] = set()
    for utterance in found:
        if utterance.id in seen:
            raise ManifestError(f"{path}: id {utterance.id!r} is used twice")
        seen.add(utterance.id)
    return found


def _utterance(row: Row | Problem, path: Path) -> Utterance:
    if isinstance(row, Problem):
        raise ManifestError(f"{row.where}: {row.reason}")
    if row.start is not None or row.channel is not None:
        raise ManifestError(
            f"{path} cuts utterances out of recordings: write one file an utterance first "
            f"(madg-speech prepare kaldi {path} -o DIR)"
        )
    audio = _stored(row.audio) if isinstance(row.audio, Embedded) else row.audio
    length = row.seconds or duration(audio)
    return Utterance(row.id, audio.resolve(), row.text, row.lang, length, row.speaker)


def _stored(embedded: Embedded) -> Path:
    """A file in the cache, named by its content."""
    digest = hashlib.blake2b(embedded.data, digest_size=16).hexdigest()
    target = cache_dir() / "audio" / digest
    if not target.is_file():
        with atomic_path(target) as draft:
            draft.write_bytes(embedded.data)
    return target
