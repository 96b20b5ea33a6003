"""Native-script error rates with and without lexicon and n-gram model, on recordings of several languages.

    python recipes/native_script/native_script.py --data $MADG_DATA --work runs/native_script

The folder has speech/<iso>/{train,test}.jsonl and text/mlm/<iso>.txt. A language that is finished is not
done again; --table is written anew from all that are.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

from rich.progress import track
from torch import Tensor

from madg_speech.audio import load_audio
from madg_speech.cache import atomic_path
from madg_speech.data.manifest import Utterance, read_manifest
from madg_speech.decoding.beam import LexiconDecoder
from madg_speech.decoding.lexicon import read_lexicon
from madg_speech.decoding.lexicon_text import LEXICON, MODEL, build_lexicon
from madg_speech.decoding.path import Decoder, GreedyDecoder
from madg_speech.languages import resolve
from madg_speech.metrics.error_rate import cer, wer
from madg_speech.splits import find_leaks
from madg_speech.text.normalize import normalize
from madg_speech.transcribe import Transcriber, load
from madg_speech.transcript import join_words

LANGUAGES = {
    "mal": "Malayalam",
    "ell": "Greek",
    "rus": "Cyrillic",
    "bul": "Cyrillic",
    "ukr": "Cyrillic",
    "yor": "Latin with diacritics",
}
LM_WEIGHTS, WORD_SCORES = (0.5, 1.0, 2.0), (-1.0, 0.0, 2.0)
TUNING = 30  # training utterances on which the two are chosen


@dataclass(frozen=True)
class Rates:
    """Word and character error rate."""

    wer: float
    cer: float


@dataclass(frozen=True)
class System:
    """One lexicon and its scores on the test recordings.

    Attributes:
        sentences: of text behind it.
        words: in the lexicon.
        unknown: share of the test words that are not.
        lm_weight: chosen on training recordings, like
        word_score: this.
        without_model: lexicon and word counts.
        with_model: lexicon and n-gram model.
    """

    sentences: int
    words: int
    unknown: float
    lm_weight: float
    word_score: float
    without_model: Rates
    with_model: Rates


@dataclass(frozen=True)
class Result:
    """A language's line of the table.

    Attributes:
        overlap: sentences removed from the text, being those of test recordings or close to them.
        romanised: greedy output against the romanised reference.
        greedy: the same output against the reference in native script: what comes without a lexicon.
        text: lexicon from the text alone.
        text_and_training: from the text and the transcripts of the training recordings.
    """

    utterances: int
    overlap: int
    romanised: Rates
    greedy: Rates
    text: System
    text_and_training: System


def main() -> None:
    """Every language that has no result yet, then the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with speech/ and text/mlm/"
    )
    parser.add_argument("--work", type=Path, required=True, help="lexicons and results")
    parser.add_argument("--langs", nargs="+", choices=LANGUAGES, default=list(LANGUAGES))
    parser.add_argument("--limit", type=int, default=40, help="test recordings of a language")
    parser.add_argument("--table", type=Path, help="Markdown file to write")
    asked = parser.parse_args()
    transcriber = None
    for lang in asked.langs:
        target = asked.work / lang / "result.json"
        if target.exists():
            continue
        transcriber = transcriber or load("default")
        result = evaluate(transcriber, lang, asked.data, asked.work / lang, asked.limit)
        with atomic_path(target) as draft:
            draft.write_text(json.dumps(asdict(result), indent=1) + "\n")
    found = {lang: asked.work / lang / "result.json" for lang in LANGUAGES}
    results = {lang: json.loads(path.read_text()) for lang, path in found.items() if path.exists()}
    print(table(results))
    if asked.table:
        with atomic_path(asked.table) as draft:
            draft.write_text((Path(__file__).parent / "page.md").read_text() + table(results))


def evaluate(transcriber: Transcriber, lang: str, data: Path, folder: Path, limit: int) -> Result:
    """Build both lexicons and score them; the encoder hears each recording once."""
    test = read_manifest(data / "speech" / lang / "test.jsonl")[:limit]
    train = read_manifest(data / "speech" / lang / "train.jsonl")
    # Not the shortest: single words say little about a model of their order.
    tuning = sorted(train, key=lambda row: -len(row.text))[: 3 * TUNING : 3]
    lines = (data / "text" / "mlm" / f"{lang}.txt").read_text(encoding="utf-8").splitlines()
    kept = remove_overlap(lines, test, transcriber, lang)
    spoken = [row.text for row in train if row not in tuning]
    spoken = remove_overlap(spoken, test, transcriber, lang)

    heard = listen(transcriber, lang, [*test, *tuning])
    scores, tuning_scores = heard[: len(test)], heard[len(test) :]
    references = [normalize(row.text) for row in test]
    vocabulary = transcriber.model.vocabulary
    greedy = decode(GreedyDecoder(vocabulary), scores)
    romanised = [vocabulary.transcript(row.text, lang) for row in test]

    def system(name: str, sentences: list[str]) -> System:
        text = folder / name / "text.txt"
        with atomic_path(text) as draft:
            draft.write_text("\n".join(sentences) + "\n", encoding="utf-8")
        report = build_lexicon([text], folder / name)
        lexicon = read_lexicon(folder / name / LEXICON, vocabulary, lang)
        model = folder / name / MODEL
        wanted = [normalize(row.text) for row in tuning]

        def tuned(weights: tuple[float, float]) -> float:
            decoder = LexiconDecoder(
                lexicon, vocabulary, model, lm_weight=weights[0], word_score=weights[1]
            )
            return cer(wanted, decode(decoder, tuning_scores)).rate

        weight, score = min(product(LM_WEIGHTS, WORD_SCORES), key=tuned)
        decoder = LexiconDecoder(lexicon, vocabulary, model, lm_weight=weight, word_score=score)
        spoken_words = [word for reference in references for word in reference.split()]
        unknown = sum(word not in lexicon.spellings for word in spoken_words) / len(spoken_words)
        plain = decode(LexiconDecoder(lexicon, vocabulary), scores)
        return System(
            report.sentences,
            report.words,
            unknown,
            weight,
            score,
            rates(references, plain),
            rates(references, decode(decoder, scores)),
        )

    return Result(
        len(test),
        len(lines) - len(kept),
        rates(romanised, greedy),
        rates(references, greedy),
        system("text", kept),
        system("text_and_training", [*kept, *spoken]),
    )


def remove_overlap(
    lines: list[str], test: Sequence[Utterance], transcriber: Transcriber, lang: str
) -> list[str]:
    """Lines whose romanised text is not within edit distance 1, or 20 %, of a test sentence's."""
    spell = transcriber.model.vocabulary.transcript
    numbered = {str(number): spell(line, lang) for number, line in enumerate(lines)}
    leaks = find_leaks(numbered, [spell(row.text, lang) for row in test])
    return [line for number, line in enumerate(lines) if str(number) not in leaks]


def listen(transcriber: Transcriber, lang: str, rows: Sequence[Utterance]) -> list[Tensor]:
    """Log probabilities [T, V] of each recording (of its first 30 s)."""
    model, language = transcriber.model, transcriber.condition(lang)
    found = []
    for row in track(rows, description=f"{resolve(lang).name}: listening", transient=True):
        waveform = load_audio(row.audio, end=model.backbone.max_seconds)
        scores, lengths = model.log_probs([waveform], [lang], language.weights)
        found.append(scores[0, : int(lengths[0])].clone())
    return found


def decode(decoder: Decoder, scores: Sequence[Tensor]) -> list[str]:
    """The text of each recording."""
    return [join_words(word.text for word in decoder.decode(one)) for one in scores]


def rates(references: list[str], hypotheses: list[str]) -> Rates:
    """Pooled over utterances."""
    return Rates(wer(references, hypotheses).rate, cer(references, hypotheses).rate)


def table(results: dict[str, dict]) -> str:
    """Markdown: WER / CER in percent."""
    head = [
        *("language", "script", "n", "text sentences (overlap removed)", "unknown words"),
        *(
            "romanised",
            "native, greedy",
            "lexicon",
            "lexicon + LM",
            "lexicon + LM, with transcripts",
        ),
    ]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]

    def both(found: dict[str, float]) -> str:
        return f"{100 * found['wer']:.1f} / {100 * found['cer']:.1f}"

    for lang, result in results.items():
        text, more = result["text"], result["text_and_training"]
        cells = [
            f"{resolve(lang).name} ({lang})",
            LANGUAGES[lang],
            str(result["utterances"]),
            f"{text['sentences']} ({result['overlap']})",
            f"{text['unknown']:.0%}, with transcripts {more['unknown']:.0%}",
            both(result["romanised"]),
            both(result["greedy"]),
            both(text["without_model"]),
            both(text["with_model"]),
            both(more["with_model"]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
