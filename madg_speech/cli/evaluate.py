"""``madg-speech evaluate``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from madg_speech.choices import DecoderName

app = typer.Typer()


@app.command()
def evaluate(
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            "--checkpoint", help="Checkpoint folder; several are compared with the first."
        ),
    ] = None,
    manifest: Annotated[
        list[Path] | None,
        typer.Option(
            "--manifest",
            help="JSONL manifest, Hugging Face dataset on disk, or Kaldi folder. Repeatable.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for hypotheses and results.json.")
    ] = None,
    rescore: Annotated[
        Path | None, typer.Option(help="Score the hypotheses in this folder again; decode nothing.")
    ] = None,
    pool: Annotated[
        list[Path] | None,
        typer.Option(
            help="Evaluation folder of a fold of a cross-validation; all folds are put together in "
            "--output, so that each language is scored by its own fold's checkpoint. Repeatable."
        ),
    ] = None,
    adapter_from: Annotated[
        list[str] | None,
        typer.Option(
            help="generated (default), none, nearest (other training language), same-clade, "
            "other-family, mean, zero or random (vector), or a language whose adapter all utterances "
            "get. Repeatable."
        ),
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            help="hyp:FILE (JSONL with id and text), whisper[:MODEL] or mms[:MODEL]. Repeatable."
        ),
    ] = None,
    langs: Annotated[str, typer.Option(help="Only these languages, separated by commas.")] = "",
    dev_langs: Annotated[
        str, typer.Option(help="Choose a baseline's mode on these, and compare on the others.")
    ] = "",
    lang: Annotated[
        str | None, typer.Option(help="Language of a Kaldi folder or dataset that does not say.")
    ] = None,
    train_text: Annotated[
        list[Path] | None,
        typer.Option(help="Training manifest for the leak filter. Repeatable."),
    ] = None,
    inventory: Annotated[
        bool,
        typer.Option(
            "--inventory",
            help="Checkpoints of phones: also with the phones that URIEL denies a language masked.",
        ),
    ] = False,
    decoder: Annotated[
        DecoderName | None,
        typer.Option(
            help="ctc, or whisper: Whisper's own decoder, frozen, on the adapted encoder. When left out, "
            "what each checkpoint was trained for; whisper on one trained for ctc ignores its head."
        ),
    ] = None,
    prompt_temperature: Annotated[
        float | None,
        typer.Option(min=0.001, help="whisper: as in `transcribe`."),
    ] = None,
    normalizer: Annotated[
        str, typer.Option(help="default, none, whisper or ml-superb.")
    ] = "default",
    bootstrap: Annotated[int, typer.Option(min=0, help="Samples; 0 for no intervals.")] = 1000,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; found when left out.")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Decode finished languages again.")
    ] = False,
) -> None:
    """Score systems on manifests: CER and WER per language and group, with intervals and comparisons.

    A run that was cut off goes on where it stopped: finished languages are not decoded again.
    """
    from rich.console import Console

    from madg_speech.errors import ConfigError
    from madg_speech.evaluation.results import Scoring, score_folder
    from madg_speech.evaluation.tables import print_results
    from madg_speech.text.normalize import NORMALIZERS

    if normalizer not in NORMALIZERS:
        raise ConfigError(f"no normalizer {normalizer!r}; known: {', '.join(NORMALIZERS)}")
    scoring = Scoring(normalizer, bootstrap, _codes(dev_langs))
    if rescore is not None:
        if checkpoint or manifest or baseline:
            raise ConfigError(
                "--rescore DIR decodes nothing: leave out --checkpoint, --manifest, --baseline"
            )
        folder = rescore
        if train_text:
            from madg_speech.data.readers import read_speech
            from madg_speech.evaluation.folder import read_references, write_leaks

            training = [u for path in train_text for u in read_speech(path, lang)]
            write_leaks(folder, read_references(folder), training)
    elif pool:
        from madg_speech.evaluation.pool import pool_folds

        if checkpoint or manifest or baseline or output is None:
            raise ConfigError(
                "--pool DIR decodes nothing: give --output, and no --checkpoint, --manifest, --baseline"
            )
        folder = output
        pool_folds(pool, folder)
    else:
        from madg_speech.evaluation.run import run_systems

        if not manifest or output is None or not (checkpoint or baseline):
            raise ConfigError(
                "expected --manifest, --output and at least one --checkpoint or --baseline "
                "(or --rescore DIR, or --pool DIR --output DIR)"
            )
        folder = output
        run_systems(
            folder,
            manifest,
            checkpoint or [],
            adapter_from or ["generated"],
            baseline or [],
            languages=_codes(langs),
            language=lang,
            train_text=train_text or [],
            device=device,
            fresh=fresh,
            inventory=inventory,
            decoder=decoder,
            prompt_temperature=prompt_temperature,
        )
    results = score_folder(folder, scoring, sys.argv)
    console = Console()
    # A file or pipe has no width of its own: tables get what they need.
    print_results(results, console if console.is_terminal else Console(width=150))


def _codes(text: str) -> tuple[str, ...]:
    return tuple(code.strip() for code in text.split(",") if code.strip())
