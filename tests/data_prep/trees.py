"""Small corpora in the layouts that readers know."""

import io
from pathlib import Path

import numpy as np
import soundfile

from madg_speech.data.manifest import read_manifest
from madg_speech.data_prep.pipeline import Options, Summary, prepare

RATE = 8000


def tone(path: Path, seconds: float = 0.5, rate: int = RATE, channels: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.1 * np.sin(np.arange(round(rate * seconds)) * 0.1)
    soundfile.write(path, np.stack([wave * (n + 1) for n in range(channels)], axis=1), rate)
    return path


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


def run(corpus: str, path: Path, **options: object) -> tuple[Path, Summary]:
    out = path.parent / f"{path.name}-out"
    return out, prepare(corpus, path, out, Options(**{"jobs": 1} | options))


def ids(out: Path, split: str) -> list[str]:
    return [utterance.id for utterance in read_manifest(out / f"{split}.jsonl")]


CV = "client_id\tpath\tsentence_id\tsentence\tsentence_domain\tup_votes\tlocale\tsegment"


def common_voice(root: Path, locale: str = "sv-SE", clips: int = 2) -> Path:
    folder = root / "cv-corpus-21" / locale
    for split in ("train", "dev", "test"):
        rows = [f'c{n}\t{split}_{n}.mp3\ts\tHej "du", {n}\t\t2\t{locale}\t' for n in range(clips)]
        write(folder / f"{split}.tsv", CV, *rows)
        for n in range(clips):
            tone(folder / "clips" / f"{split}_{n}.mp3", rate=16_000)
    return root / "cv-corpus-21"


def table(root: Path, lines: list[str]) -> Path:
    write(root / "s/line_index.tsv", *lines)
    return root / "s"


def parquet(path: Path, rows: list[dict[str, object]]) -> None:
    import pyarrow
    from pyarrow import parquet as format

    path.parent.mkdir(parents=True, exist_ok=True)
    format.write_table(pyarrow.Table.from_pylist(rows), path)


def sound_bytes(seconds: float = 0.5) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.ones(round(16_000 * seconds)) * 0.1, 16_000, format="WAV")
    return file.getvalue()
