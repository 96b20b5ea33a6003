"""Which files a batch still has to do, and where their transcripts go."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from madg_speech.audio import find_audio
from madg_speech.cache import atomic_path
from madg_speech.errors import AudioError, ConfigError
from madg_speech.transcript import Transcript
from madg_speech.writers import WRITERS, Format


@dataclass
class Worklist:
    """Files in the order given.

    Attributes:
        files: each with its name relative to the folder it was found in.
        missing: an error for each path that leads to no audio.
    """

    files: dict[Path, Path] = field(default_factory=dict)
    missing: list[AudioError] = field(default_factory=list)

    def shard(self, which: str | None) -> Worklist:
        """Every n-th file from the i-th on, for ``i/n`` (from 1): n jobs share the work.

        What is missing is the first shard's to report.

        Raises:
            ConfigError: not of the form ``i/n`` with 1 <= i <= n.
        """
        if which is None:
            return self
        part, _, parts = which.partition("/")
        if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
            raise ConfigError(f"--shard {which}: expected i/n with i from 1 to n, such as 1/8")
        first, step = int(part) - 1, int(parts)
        kept = list(self.files.items())[first::step]
        return Worklist(dict(kept), self.missing if first == 0 else [])

    def targets(self, folder: Path, form: Format) -> Mapping[Path, dict[Format, Path]]:
        """Where each file's transcripts go: its relative name with the format as suffix.

        Raises:
            ConfigError: ``folder`` is a file, or two recordings would be written to one place.
        """
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"--output {folder} is a file; expected a folder")
        owners: dict[Path, Path] = {}
        for file, name in self.files.items():
            target = folder / name.with_suffix("")
            if (owner := owners.setdefault(target, file)) != file:
                raise ConfigError(
                    f"{owner} and {file} would both be written to {target}.*: rename one, or "
                    "transcribe them apart"
                )
        return {
            file: {kind: folder / name.with_suffix(f".{kind}") for kind in form.kinds}
            for file, name in self.files.items()
        }


def find_work(paths: Iterable[Path]) -> Worklist:
    """Audio behind files, folders and patterns (``talks/**/*.wav``); each file once."""
    work = Worklist()
    for path in paths:
        try:
            for file, name in _found(path):
                work.files.setdefault(file, name)
        except AudioError as error:
            work.missing.append(error)
    return work


def is_done(targets: Mapping[Format, Path]) -> bool:
    """Whether all transcripts of a file are there; each was written whole or not at all."""
    return all(path.is_file() for path in targets.values())


def write_transcript(transcript: Transcript, targets: Mapping[Format, Path]) -> None:
    """Write each format whole or not at all."""
    for kind, path in targets.items():
        with atomic_path(path) as draft:
            draft.write_text(WRITERS[kind](transcript), encoding="utf-8")


def _found(path: Path) -> list[tuple[Path, Path]]:
    if path.is_dir():
        return [(file, file.relative_to(path)) for file in find_audio([path])]
    if not path.exists() and glob.has_magic(str(path)):
        matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207
        if not matches:
            raise AudioError(f"no file matches {path}")
        return [pair for match in matches for pair in _found(match)]
    return [(file, Path(file.name)) for file in find_audio([path])]
