"""``madg-speech demo``: what `make demo` runs."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from madg_speech.errors import ConfigError

if TYPE_CHECKING:
    from madg_speech.transcribe import Transcriber

app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class Sample:
    """Sentences of our own in a language kept out of training, and its eSpeak NG voice."""

    iso: str
    voice: str
    sentences: tuple[str, ...]


# Neither language is among Whisper's. Tswana has relatives in training, Cusco Quechua has none.
SAMPLES = (
    Sample(
        "tsn",
        "tn",
        (
            "Dumela, o tsogile jang?",
            "Ke batla metsi a a tsididi.",
            "Ngwana o ya kwa sekolong.",
            "Pula e a na gompieno.",
            "Re a leboga thata.",
        ),
    ),
    Sample(
        "quz",
        "qu",
        (
            "Allillanchu, imaynallan kashanki?",
            "Chiri yakuta munani.",
            "Wawaqa yachay wasiman rin.",
            "Kunan punchay paramushan.",
            "Wasiyqa hatunmi.",
        ),
    ),
)


@app.command()
def demo(
    audio: Annotated[
        Path | None, typer.Argument(help="A recording of your own; else eSpeak NG speaks.")
    ] = None,
    lang: Annotated[
        str | None, typer.Option("-l", "--lang", help="What is spoken in it: code or name.")
    ] = None,
    checkpoint: Annotated[str, typer.Option(help="`default` or a checkpoint folder.")] = "default",
) -> None:
    """Hear two languages never trained on: generated, no and wrong adapters side by side.

    A few sentences are spoken by eSpeak NG and transcribed (romanised) with the adapter generated
    from the language's vector, with none, and with the other language's. With AUDIO, that is
    transcribed in the same ways, the error rates left out.
    """
    if (audio is None) != (lang is None):
        raise ConfigError("give both AUDIO and --lang, or neither")

    from madg_speech.transcribe import load

    transcriber = load(checkpoint, decoder="ctc")
    if audio is not None and lang is not None:
        _transcribe_own(transcriber, audio, lang)
    else:
        _transcribe_spoken(transcriber)


def _transcribe_own(transcriber: Transcriber, audio: Path, lang: str) -> None:
    from madg_speech.advice import advise

    conditioning = transcriber.condition(lang)
    Console(stderr=True, soft_wrap=True, highlight=False).print(
        advise(conditioning, transcriber.model.spec), markup=False
    )
    wrong = next(sample.iso for sample in SAMPLES if sample.iso != conditioning.label)
    for name, origin in _adapters(wrong).items():
        result = transcriber.transcribe(audio, lang, adapter_from=origin)
        typer.echo(f"{name}: {result.text}")


def _transcribe_spoken(transcriber: Transcriber) -> None:
    from madg_speech.languages import resolve
    from madg_speech.metrics.error_rate import cer
    from madg_speech.splits import training_group

    table = Table("language", "relation to training", "adapter", "CER", "seconds")
    heard = []
    vocabulary = transcriber.model.vocabulary
    assert vocabulary is not None  # of a CTC head, as loaded
    with tempfile.TemporaryDirectory() as folder:
        for sample, other in zip(SAMPLES, reversed(SAMPLES), strict=True):
            files = _speak(sample, Path(folder))
            said = [vocabulary.transcript(s, sample.iso) for s in sample.sentences]
            group = training_group(sample.iso, transcriber.model.spec.languages)
            for name, origin in _adapters(other.iso).items():
                start = time.perf_counter()
                texts = [
                    transcriber.transcribe(f, sample.iso, adapter_from=origin).text for f in files
                ]
                seconds = time.perf_counter() - start
                rate = cer(said, texts).rate
                table.add_row(
                    resolve(sample.iso).name, group, name, f"{rate:.2f}", f"{seconds:.1f}"
                )
                if origin is None:
                    heard += list(zip(sample.sentences, texts, strict=True))
    console = Console(highlight=False)
    for sentence, text in heard:
        console.print(f"said   {sentence}\nheard  {text}", markup=False)
    console.print(table)
    console.print("synthetic voice: says nothing about real speech")


def _adapters(wrong: str) -> dict[str, str | None]:
    """What the table calls an adapter, and what ``adapter_from`` asks for."""
    return {"generated": None, "none": "none", f"wrong ({wrong})": wrong}


def _speak(sample: Sample, folder: Path) -> list[Path]:
    import soundfile

    from madg_speech.text.espeak_engine import Engine

    engine = Engine()
    files = []
    for number, sentence in enumerate(sample.sentences):
        samples = engine.speak(sentence, sample.voice, "f2", rate=150, pitch=50, pitch_range=50)
        files.append(folder / f"{sample.iso}-{number}.wav")
        soundfile.write(files[-1], samples, engine.sample_rate)
    return files
