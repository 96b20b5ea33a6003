"""What `transcribe` is asked to do, in plain values: it can be carried out here or on another machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from madg_speech.choices import AUTO, NO_LEXICON, DecoderName, Precision
from madg_speech.errors import ConfigError
from madg_speech.transcript import Failure, Transcript

if TYPE_CHECKING:
    from madg_speech.conditioning import Conditioning
    from madg_speech.decoding.path import Decoder
    from madg_speech.transcribe import Transcriber


@dataclass(frozen=True)
class Request:
    """Options of :meth:`madg_speech.transcribe.Transcriber.transcribe_many` and of what it needs.

    Attributes:
        langs: codes or names; of several the best-scoring one; ``auto`` alone: what Whisper hears.
        checkpoint: ``default`` or a folder; None: what ``adapter`` was refined from.
        backbone: folder or hub id in place of the checkpoint's.
        device: found when left out.
        precision: ``float32`` or ``int8``.
        text_decoder: ``ctc`` or ``whisper``; what the checkpoint was trained for when left out.
        prompt_temperature: of ``whisper``'s mixture of language tokens.
        adapter_from: another language's adapter, or ``none``.
        vector: file with a typological vector of one's own.
        adapter: folder with a refined adapter.
        lexicon: words in native script.
        lm: n-gram model of the same words.
        lm_weight: of the words' scores.
        word_score: added for each word.
        start: seconds to skip.
        end: seconds at which to stop.
        vad: in long audio, only what is speech.
    """

    langs: tuple[str, ...]
    checkpoint: str | None = None
    backbone: str | None = None
    device: str | None = None
    precision: Precision = "float32"
    text_decoder: DecoderName | None = None
    prompt_temperature: float | None = None
    adapter_from: str | None = None
    vector: Path | None = None
    adapter: Path | None = None
    lexicon: Path | None = None
    lm: Path | None = None
    lm_weight: float = 1.0
    word_score: float = 0.0
    start: float = 0.0
    end: float | None = None
    vad: bool = True

    def check(self) -> None:
        """Raise ConfigError for options that exclude each other, before anything is loaded."""
        several = "several" if len(self.langs) > 1 else ""
        if AUTO in self.langs and several:
            raise ConfigError("--lang auto stands alone: it chooses among all Whisper supports")
        if several or AUTO in self.langs:
            for name in ("adapter_from", "vector", "adapter"):
                if getattr(self, name) is not None:
                    option = name.replace("_", "-")
                    raise ConfigError(f"--{option} goes with one --lang, not several or auto")
            if self.lexicon is not None:
                raise ConfigError(
                    "--lexicon is of one language: give one --lang, not several or auto"
                )
        if self.text_decoder == "whisper" and self.lexicon is not None:
            raise ConfigError(NO_LEXICON)
        if self.lm is not None and self.lexicon is None:
            raise ConfigError(f"--lm {self.lm} scores words: give the words too (--lexicon FILE)")

    def load(self, say: Callable[[str], None]) -> Loaded:
        """Load the checkpoint, make adapters and decoder; ``say`` gets a line of advice on each language.

        Raises:
            MadgSpeechError: whatever is wrong with one of the options.
        """
        from madg_speech.conditioning import refined_from
        from madg_speech.transcribe import load

        self.check()
        checkpoint = self.checkpoint or (refined_from(self.adapter) if self.adapter else "default")
        transcriber = load(
            checkpoint,
            self.backbone,
            self.device,
            self.precision,
            self.text_decoder,
            self.prompt_temperature,
        )
        spec = transcriber.model.spec
        if self.text_decoder == "whisper" and spec.objective != "seq2seq":
            say(
                f"{checkpoint}: its adapters were trained for {spec.objective}, not for Whisper's decoder; "
                "its CTC head is not used"
            )
        languages = self._conditionings(transcriber, say)
        return Loaded(self, transcriber, languages, self._decoder(transcriber, languages, say))

    def _conditionings(
        self, transcriber: Transcriber, say: Callable[[str], None]
    ) -> list[Conditioning]:
        """Adapters to use; none for auto."""
        from madg_speech.advice import advise

        if AUTO in self.langs:
            say("auto: Whisper, without adapters, names the language, of the about 99 it supports")
            return []
        found = []
        for lang in self.langs:
            found.append(
                transcriber.condition(
                    lang,
                    adapter_from=self.adapter_from,
                    vector=self.vector,
                    adapter=self.adapter,
                    notify=say,
                )
            )
            say(advise(found[-1], transcriber.model.spec))
        return found

    def _decoder(
        self,
        transcriber: Transcriber,
        languages: list[Conditioning],
        say: Callable[[str], None],
    ) -> Decoder | None:
        if self.lexicon is None:
            return None
        from madg_speech.decoding.beam import LexiconDecoder
        from madg_speech.decoding.lexicon import read_lexicon

        vocabulary = transcriber.model.vocabulary
        if vocabulary is None:
            raise ConfigError(NO_LEXICON)
        words = read_lexicon(self.lexicon, vocabulary, languages[0].label)
        if words.unspelt:
            say(
                f"{self.lexicon}: {len(words.unspelt)} entries have no letters and are left out "
                f"({', '.join(words.unspelt[:3])})"
            )
        return LexiconDecoder(
            words, vocabulary, self.lm, lm_weight=self.lm_weight, word_score=self.word_score
        )


@dataclass(frozen=True)
class Loaded:
    """A request with all it needs in memory."""

    request: Request
    transcriber: Transcriber
    languages: list[Conditioning]
    decoder: Decoder | None

    def run(
        self, files: Iterable[Path], on_progress: Callable[[float], None] | None = None
    ) -> Iterator[Transcript | Failure]:
        """Transcribe; results in the order of the files."""
        return self.transcriber.transcribe_many(
            files,
            self.languages or AUTO,
            decoder=self.decoder,
            start=self.request.start,
            end=self.request.end,
            vad=self.request.vad,
            on_progress=on_progress,
        )
