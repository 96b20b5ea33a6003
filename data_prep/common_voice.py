"""Mozilla Common Voice, scripted speech.

Releases from 2019 on (github.com/common-voice/cv-dataset, README): ``<locale>/clips/*.mp3`` and one
tsv a split, without quoting; ``path`` and ``sentence`` are there in all of them, ``locale`` in most,
``.mp3`` was once left off ``path``. Newer ones add ``clip_durations.tsv`` (milliseconds).
The release of 2017 (kaggle.com/datasets/mozillaorg/common-voice): English; ``cv-valid-train.csv`` and
so on, with ``filename`` and ``text``.
The Hub's mirror (huggingface.co/datasets/mozilla-foundation/common_voice_11_0, common_voice_11_0.py):
``transcript/<locale>/<split>.tsv``, ``audio/<locale>/<split>/<locale>_<split>_<n>.tar``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from madg_speech.data.lines import Lookup, read_table
from madg_speech.data.rows import LayoutError, Problem, Request, Row, Rows, find
from madg_speech.data_prep.archives import unpack

LICENSE = "CC0-1.0"
# Hong Kong's clips are Cantonese; the tag alone says no more than "Chinese".
CODES = {"zh-HK": "yue"}
USUAL = ("train", "dev", "test")  # also: validated, other, invalidated


def rows(path: Path, request: Request) -> Rows:
    """Clips of ``USUAL`` splits; ``validated`` and the like where they are asked for.

    Raises:
        LayoutError: none of the three layouts.
    """
    locales = [clips.parent for clips in find(path, "clips", 3) if clips.is_dir()]
    mirrored = [folder for folder in find(path, "transcript/*", 1) if folder.is_dir()]
    old = find(path, "cv-valid-train.csv", 1)
    if not (locales or mirrored or old):
        raise LayoutError(
            f"{path}: no folder named clips with train.tsv and others beside it (nor cv-valid-train.csv, "
            "nor transcript/<locale>)"
        )
    for folder in filter(lambda locale: request.wants(locale.name), locales):
        yield from _release(folder, request.chosen(USUAL))
    for folder in filter(lambda locale: request.wants(locale.name), mirrored):
        yield from _mirror(folder, request)
    for table in old:
        yield from _first_release(table.parent, request.chosen(USUAL))


def _release(folder: Path, splits: tuple[str, ...]) -> Rows:
    tables = [folder / f"{split}.tsv" for split in splits if (folder / f"{split}.tsv").is_file()]
    if not tables:
        yield Problem(f"clips without any of {', '.join(splits)}.tsv", str(folder))
        return
    lengths = Lookup(_durations(folder / "clip_durations.tsv"))
    for table in tables:
        for line in read_table(table, need=("path", "sentence")):
            if isinstance(line, Problem):
                yield line
                continue
            cells = line[1]
            name = cells["path"] if "." in cells["path"] else f"{cells['path']}.mp3"
            length = lengths.get(name)
            yield Row(
                Path(name).stem,
                folder / "clips" / name,
                cells["sentence"],
                cells.get("locale") or folder.name,
                table.stem,
                cells.get("client_id"),
                seconds=int(length) / 1000 if length and length.isdigit() else None,
            )


def _durations(table: Path) -> Iterator[tuple[str, str]]:
    """Clip and milliseconds; the header says ``duration[ms]``."""
    for line in read_table(table, need=("clip",)) if table.is_file() else ():
        if not isinstance(line, Problem):
            clip, milliseconds = list(line[1].values())[:2]
            yield clip, milliseconds


def _mirror(folder: Path, request: Request) -> Rows:
    audio = folder.parent.parent / "audio" / folder.name
    for split in request.chosen(USUAL):
        table = folder / f"{split}.tsv"
        if not table.is_file():
            continue
        places = [audio / split]
        for shard in sorted((audio / split).glob("*.tar")):
            into = (request.scratch or audio) / folder.name / split
            places.append(unpack(shard, into))
        clips = Lookup(
            (clip.name, str(clip)) for place in places for clip in sorted(place.rglob("*.mp3"))
        )
        for line in read_table(table, need=("path", "sentence")):
            if isinstance(line, Problem):
                yield line
                continue
            cells = line[1]
            name = Path(cells["path"]).name
            clip = Path(clips.get(name) or audio / split / name)
            lang = cells.get("locale") or folder.name
            yield Row(Path(name).stem, clip, cells["sentence"], lang, split, cells.get("client_id"))


def _first_release(folder: Path, splits: tuple[str, ...]) -> Rows:
    for split in splits:
        table = folder / f"cv-valid-{split}.csv"
        if not table.is_file():
            continue
        for line in read_table(table, need=("filename", "text"), quoted=True):
            if isinstance(line, Problem):
                yield line
                continue
            name = line[1]["filename"]
            # On Kaggle each folder was packed into a folder of its own name.
            audio = next(
                (found for base in ("", table.stem) if (found := folder / base / name).is_file()),
                folder / name,
            )
            yield Row(
                name.removesuffix(".mp3").replace("/", "-"), audio, line[1]["text"], "eng", split
            )
