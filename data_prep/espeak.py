"""Synthetic speech in about a hundred languages from eSpeak NG: made offline, by anyone.

Sentences come from a folder of text files, or from CLDR (``cldr_text``); voices, speakers, rate and
pitch are drawn for each utterance from its own seed, so any number of workers makes the same files
and a second run makes only what is missing. A file's name is a digest of all that shaped it.

Audio is 16 kHz mono FLAC: against Ogg/Vorbis or Ogg/Opus it takes 4 to 6 times the room (about
22 kB a second) but decodes 2 to 5 times as fast, and equal samples give equal bytes, which Ogg's
random stream numbers rule out.

Licence: eSpeak NG is GPL-3.0-or-later. Speech made by a program is not in general a derived work
of it, but the fricatives are recordings shipped with the engine, so manifests say GPL-3.0-or-later,
the cautious reading. The words are CLDR's (Unicode License v3) or those of the text file named in
``source``, whose licence its owner knows.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from random import Random

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from madg_speech.cache import atomic_path
from madg_speech.data.manifest import Utterance, write_manifest
from madg_speech.data_prep.cldr_text import cldr_sentences
from madg_speech.data_prep.sentences import is_speakable, read_lines, split_clauses, tidy
from madg_speech.errors import ConfigError, DataError
from madg_speech.text.espeak_engine import Engine
from madg_speech.text.espeak_table import VoicedLanguage, choose_languages, load_table

SAMPLE_RATE = 16_000
LICENSE = "GPL-3.0-or-later"
SPEAKERS = (
    *(f"m{number}" for number in range(1, 9)),
    *(f"f{number}" for number in range(1, 6)),
    *("Alicia", "Andrea", "Annie", "Denis", "Gene", "Hugo", "Lee", "Michael", "adam", "belinda"),
)
RATES = (130, 190)  # words a minute
PITCHES = (30, 70)
PITCH_RANGES = (30, 70)
PHONEMES = (14, 110)  # about 1 to 12 seconds at these rates
FEWEST = 20  # sentences without which a language is not worth a row
_CHUNK = 25
_SILENCE = 32  # of 32767
_MARGIN = 0.05  # seconds


@dataclass(frozen=True)
class Recipe:
    """What decides the content of a corpus, whoever computes it."""

    per_language: int = 100
    test: int = 0
    text_dir: Path | None = None
    territories: bool = True
    seed: int = 0


@dataclass(frozen=True)
class Line:
    """One sentence to be spoken; ``index`` is its place in the language's shuffled sentences."""

    iso: str
    index: int
    text: str
    origin: str


@dataclass
class Report:
    """What a run made: counts and seconds per language, and what was left out and why."""

    engine: str
    languages: dict[str, dict[str, float]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def prepare_espeak(
    out: Path,
    recipe: Recipe,
    langs: list[str] | None = None,
    exclude: list[str] | None = None,
    include_constructed: bool = False,
    jobs: int | None = None,
) -> Report:
    """Write ``out/<iso>/*.flac``, ``out/train.jsonl``, ``out/test.jsonl`` and ``out/summary.json``.

    Args:
        out: folder to make or to complete.
        recipe: numbers of utterances, text and seed.
        langs: codes or names; None: all that are not ``off``. A language named here is never off.
        exclude: codes or names to leave out.
        include_constructed: also those that are ``off``.
        jobs: worker processes; None: one a core.

    Raises:
        UnknownLanguageError: ``langs`` names a language that has no voice.
        ConfigError: no such text folder.
        BackboneError: eSpeak NG is not installed.
        DataError: nothing was spoken.
    """
    if recipe.text_dir is not None and not recipe.text_dir.is_dir():
        raise ConfigError(
            f"--text-dir {recipe.text_dir}: no such folder (expected <iso>.txt files)"
        )
    engine = Engine()
    report = Report(f"espeak-ng {engine.version}")
    chosen, report.skipped, report.notes = choose_languages(langs, exclude, include_constructed)
    chosen = [language for language in chosen if _has_voice(language, engine, report)]
    out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(
        jobs or os.cpu_count(), multiprocessing.get_context("spawn"), _start_worker, (out, recipe)
    ) as pool:
        lines = _select_all(pool, chosen, recipe, report)
        chunks = [lines[start : start + _CHUNK] for start in range(0, len(lines), _CHUNK)]
        spoken: list[Utterance | None] = []
        with Progress(console=Console(stderr=True)) as progress:
            bar = progress.add_task("speaking", total=len(lines))
            for chunk in pool.map(_speak_chunk, chunks):
                spoken += chunk
                progress.advance(bar, len(chunk))
    _write(out, recipe, lines, spoken, report)
    return report


def _has_voice(language: VoicedLanguage, engine: Engine, report: Report) -> bool:
    missing = [voice for voice in language.voices if voice not in engine.voices]
    if missing:
        text = f"eSpeak NG {engine.version} has no voice {', '.join(missing)}"
        if len(missing) == len(language.voices):
            report.skipped[language.iso] = text
        else:
            report.notes.append(f"{language.iso}: {text}; its other voices are used")
    return len(missing) < len(language.voices)


@dataclass
class _Worker:
    """What each process keeps: the library holds its state in globals, hence processes."""

    engine: Engine
    out: Path
    recipe: Recipe
    voices: dict[str, list[str]]
    speakers: list[str]


_worker: _Worker


def _start_worker(out: Path, recipe: Recipe) -> None:
    global _worker
    engine = Engine()
    voices = {
        row.iso: [voice for voice in row.voices if voice in engine.voices] for row in load_table()
    }
    speakers = [speaker for speaker in SPEAKERS if speaker in engine.variants]
    _worker = _Worker(engine, out, recipe, voices, speakers)


def _select_all(
    pool: ProcessPoolExecutor, chosen: list[VoicedLanguage], recipe: Recipe, report: Report
) -> list[Line]:
    lines = []
    fewest = min(FEWEST, recipe.per_language + recipe.test)
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("choosing sentences", total=len(chosen))
        for language, (selected, notes) in zip(
            chosen, pool.map(_select_lines, chosen), strict=True
        ):
            report.notes += notes
            if len(selected) < fewest:
                reason = "neither a text file nor CLDR" if not selected else "too little text"
                report.skipped[language.iso] = f"{reason} ({len(selected)} usable sentences)"
            else:
                lines += selected
            progress.advance(bar)
    return lines


def _select_lines(language: VoicedLanguage) -> tuple[list[Line], list[str]]:
    """The first sentences, in seeded order, that the voice reads as written.

    Whole lines of the text file come first, then clauses of its long lines, then CLDR.
    """
    recipe, notes = _worker.recipe, list[str]()
    wanted = recipe.per_language + recipe.test
    voice = _worker.voices[language.iso][0]
    chosen: dict[str, Line] = {}
    for origin, sentences in _text_sources(language, recipe, wanted, notes):
        Random(f"{recipe.seed}/{language.iso}/{origin}").shuffle(sentences)
        candidates = [sentence for sentence in sentences if is_speakable(sentence)]
        for start in range(0, len(candidates), _CHUNK):
            if len(chosen) >= wanted:
                break
            batch = candidates[start : start + _CHUNK]
            for sentence, ipa in zip(batch, _worker.engine.phonemes(batch, voice), strict=True):
                key = sentence.casefold()
                if key not in chosen and _is_read_as_written(ipa):
                    chosen[key] = Line(language.iso, len(chosen), sentence, origin)
    return list(chosen.values())[:wanted], notes


def _text_sources(
    language: VoicedLanguage, recipe: Recipe, wanted: int, notes: list[str]
) -> Iterator[tuple[str, list[str]]]:
    if recipe.text_dir is not None:
        for code in (language.iso, *language.files):
            path = recipe.text_dir / f"{code}.txt"
            if not path.is_file():
                continue
            lines, broken = read_lines(path)
            if broken:
                notes.append(
                    f"{path}: {broken} of {broken + len(lines)} lines are not UTF-8, left out"
                )
            yield path.name, list(dict.fromkeys(map(tidy, lines)))
            clauses = [clause for line in lines for clause in split_clauses(line)]
            yield path.name, list(dict.fromkeys(clauses))
    if language.cldr is not None:
        yield "cldr", cldr_sentences(language.cldr, wanted, recipe.seed, recipe.territories)


def _is_read_as_written(ipa: str | None) -> bool:
    """Whether the voice needed no other language's rules ("(en)") and the length is right."""
    if ipa is None or "(" in ipa:
        return False
    return PHONEMES[0] <= sum(character.isalpha() for character in ipa) <= PHONEMES[1]


def _speak_chunk(lines: list[Line]) -> list[Utterance | None]:
    return [_speak_line(line) for line in lines]


def _speak_line(line: Line) -> Utterance | None:
    """Speak one line unless its file is there; None where the voice stays silent."""
    random = Random(f"{_worker.recipe.seed}/{line.iso}/{line.index}")
    voice = random.choice(_worker.voices[line.iso])
    speaker = random.choice(_worker.speakers)
    delivery = tuple(random.randint(*bounds) for bounds in (RATES, PITCHES, PITCH_RANGES))
    version = _worker.engine.version
    shape = json.dumps([version, line.iso, line.text, voice, speaker, delivery])
    digest = blake2b(shape.encode(), digest_size=8).hexdigest()
    path = _worker.out / line.iso / f"{digest}.flac"
    if not path.is_file():
        rate = _worker.engine.sample_rate
        samples = _trim(_worker.engine.speak(line.text, voice, speaker, *delivery), rate)
        if not len(samples):
            return None
        samples = soxr.resample(samples, rate, SAMPLE_RATE)
        with atomic_path(path) as draft:
            soundfile.write(draft, samples, SAMPLE_RATE)
    return Utterance(
        id=f"espeak-{line.iso}-{digest}",
        audio=path,
        text=line.text,
        lang=line.iso,
        seconds=soundfile.info(path).duration,
        speaker=f"{voice}+{speaker}",
        source=f"espeak-ng {version}; text: {line.origin}",
        license=LICENSE,
    )


def _trim(samples: NDArray[np.int16], rate: int) -> NDArray[np.int16]:
    """Cut what is below 1 % of the peak at both ends, less a margin; empty if all is silent."""
    level = np.abs(samples.astype(np.int32))
    loud = np.flatnonzero(level > max(_SILENCE, level.max(initial=0) // 100))
    if not len(loud):
        return samples[:0]
    kept = round(_MARGIN * rate)
    return samples[max(0, loud[0] - kept) : loud[-1] + 1 + kept]


def _write(
    out: Path, recipe: Recipe, lines: list[Line], spoken: list[Utterance | None], report: Report
) -> None:
    totals = Counter(line.iso for line in lines)
    train: list[Utterance] = []
    test: list[Utterance] = []
    for line, utterance in zip(lines, spoken, strict=True):
        row = report.languages.setdefault(
            line.iso, {"train": 0, "test": 0, "silent": 0, "seconds": 0.0}
        )
        if utterance is None:
            row["silent"] += 1
            continue
        held_out = line.index < min(recipe.test, totals[line.iso] // 5)
        (test if held_out else train).append(utterance)
        row["test" if held_out else "train"] += 1
        row["seconds"] = round(row["seconds"] + utterance.seconds, 3)
    if not train:
        reasons = "; ".join(f"{iso}: {reason}" for iso, reason in report.skipped.items())
        raise DataError(f"nothing was spoken ({reasons or 'no language left after --exclude'})")
    write_manifest(out / "train.jsonl", train)
    if recipe.test:
        write_manifest(out / "test.jsonl", test)
    with atomic_path(out / "summary.json") as draft:
        fields = asdict(report) | {"recipe": asdict(recipe)}
        draft.write_text(json.dumps(fields, indent=1, ensure_ascii=False, default=str), "utf-8")
