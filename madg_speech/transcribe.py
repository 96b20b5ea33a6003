"""Files in, text out: ``load("default").transcribe("talk.wav", lang="swh").text``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from madg_speech.checkpoint import checkpoint_folder, read_model_config
from madg_speech.choices import AUTO, NO_LEXICON, DecoderName, Precision
from madg_speech.conditioning import Conditioning, condition
from madg_speech.decoding.path import Decoder, GreedyDecoder
from madg_speech.errors import ConfigError
from madg_speech.model import AdaptedModel
from madg_speech.pipeline import Job, Pipeline
from madg_speech.recognizers import CtcRecognizer, Recognizer, WhisperRecognizer
from madg_speech.transcript import Failure, Transcript

if TYPE_CHECKING:
    from madg_speech.objectives.seq2seq import Seq2Seq

Languages = str | Conditioning | Sequence[str | Conditioning]


def load(
    checkpoint: Path | str = "default",
    backbone: str | None = None,
    device: str | None = None,
    precision: Precision = "float32",
    decoder: DecoderName | None = None,
    prompt_temperature: float | None = None,
) -> Transcriber:
    """Load a checkpoint for transcription.

    Args:
        checkpoint: ``default`` (part of the package) or a folder that `pretrain` wrote.
        backbone: folder or hub id to use in place of the one the checkpoint names.
        device: ``cpu``, ``cuda``...; a GPU if there is one when left out.
        precision: ``int8`` is faster on CPUs and a little less exact: :mod:`madg_speech.backbones.int8`.
        decoder: ``ctc``, or ``whisper``: Whisper's own, frozen. When left out, what the checkpoint was
            trained for. A checkpoint for CTC lends it its encoder adapters, which were not trained for it.
        prompt_temperature: of ``whisper``'s mixture of language tokens, in place of the checkpoint's.

    Raises:
        CheckpointError: missing, broken, or made for another backbone.
        BackboneError: the backbone cannot be found.
        ConfigError: no such device, int8 where it does not work, a decoder that the backbone lacks.
    """
    chosen = device or ("cuda" if torch.cuda.is_available() and precision != "int8" else "cpu")
    folder = checkpoint_folder(checkpoint)
    model: AdaptedModel | Seq2Seq
    if (decoder or _own_decoder(folder)) == "whisper":
        from madg_speech.objectives import seq2seq

        model = seq2seq.Seq2Seq.from_pretrained(folder, backbone, prompt_temperature)
    elif prompt_temperature is not None:
        raise ConfigError("--prompt-temperature is of Whisper's decoder: --decoder whisper")
    else:
        model = AdaptedModel.from_pretrained(folder, backbone)
    try:
        model.to(chosen)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"device {chosen!r} cannot be used: {reason}; cpu always can") from None
    if precision == "int8":
        from madg_speech.backbones.int8 import to_int8

        to_int8(model.backbone)
    return Transcriber(model)


def _own_decoder(folder: Path) -> DecoderName:
    return "whisper" if read_model_config(folder).objective == "seq2seq" else "ctc"


class Transcriber:
    """A loaded checkpoint. Threads may share one, each with a language of its own."""

    def __init__(self, model: AdaptedModel | Seq2Seq):
        self.model = model

    def condition(
        self,
        lang: str,
        *,
        adapter_from: str | None = None,
        vector: Path | str | None = None,
        adapter: Path | str | None = None,
        notify: Callable[[str], None] | None = None,
    ) -> Conditioning:
        """Make an adapter once for many calls; see :func:`madg_speech.conditioning.condition`."""
        return condition(
            self.model,
            lang,
            adapter_from=adapter_from,
            vector=vector,
            adapter=adapter,
            notify=notify,
        )

    def transcribe(
        self,
        source: Path | str,
        lang: Languages,
        *,
        adapter_from: str | None = None,
        decoder: Decoder | None = None,
        start: float = 0.0,
        end: float | None = None,
        vad: bool = True,
    ) -> Transcript:
        """Transcribe one recording of any length, format, sampling rate and channel count.

        Args:
            source: audio file.
            lang: code or name of any language with a URIEL entry, or what :meth:`condition` made;
                several: the one is used whose best path has the highest mean log probability per
                frame (with Whisper's decoder: per token); ``auto``: the one that frozen Whisper
                hears, of those Whisper supports.
            adapter_from: use the adapter of another language, or ``none``: for comparison.
            decoder: greedy when left out; :class:`madg_speech.decoding.beam.LexiconDecoder`
                for native script.
            start: seconds to skip.
            end: seconds from the beginning of the recording at which to stop.
            vad: in recordings of over 30 s, transcribe only what is speech.

        Raises:
            AudioError: not to be decoded, too short, or silent.
            UnknownLanguageError: no such language.
            ConfigError: ``start`` and ``end`` are no interval, a lexicon with several languages or
                Whisper's decoder, or that decoder and a label that is no known language.
        """
        if adapter_from is not None:
            if not isinstance(lang, str) or lang == AUTO:
                raise ConfigError("adapter_from goes with one language given by code or name")
            lang = self.condition(lang, adapter_from=adapter_from)
        (result,) = self.transcribe_many(
            [source], lang, decoder=decoder, start=start, end=end, vad=vad
        )
        if isinstance(result, Failure):
            raise result.error
        return result

    def transcribe_many(
        self,
        sources: Iterable[Path | str],
        lang: Languages,
        *,
        decoder: Decoder | None = None,
        start: float = 0.0,
        end: float | None = None,
        vad: bool = True,
        on_progress: Callable[[float], None] | None = None,
    ) -> Iterator[Transcript | Failure]:
        """Transcribe recordings, windows of several files in one batch; results in the given order.

        Args:
            sources: audio files; ten minutes of audio are read at a time.
            lang: as in :meth:`transcribe`, like all that is not said here.
            decoder: one object for all files.
            start: of every file.
            end: of every file.
            vad: for every file.
            on_progress: called with the seconds of audio done since the last call.

        Raises:
            UnknownLanguageError: no such language. What is wrong with a file is yielded instead.
            ConfigError: as :meth:`transcribe`.
        """
        if not (0 <= start < math.inf) or (end is not None and not end > start):
            raise ConfigError(f"start {start} and end {end} are no interval: 0 <= start < end")
        given = [lang] if isinstance(lang, str | Conditioning) else list(lang)
        if decoder is not None and (len(given) > 1 or given == [AUTO]):
            raise ConfigError("a lexicon is of one language: give that one, not several or auto")
        conditionings = () if given == [AUTO] else tuple(map(self._as_conditioning, given))
        recognizer = self._recognizer(decoder, conditionings)
        job = Job(conditionings, start, end, vad, on_progress or (lambda seconds: None))
        return Pipeline(recognizer, job).run(sources)

    def _recognizer(
        self, decoder: Decoder | None, conditionings: Sequence[Conditioning]
    ) -> Recognizer:
        if isinstance(self.model, AdaptedModel):
            return CtcRecognizer(self.model, decoder or GreedyDecoder(self.model.vocabulary))
        if decoder is not None:
            raise ConfigError(NO_LEXICON)
        if unknown := [one.label for one in conditionings if one.language is None]:
            raise ConfigError(
                f"{unknown[0]!r} is no known language, and Whisper's decoder is prompted with one: give "
                "--lang the code or name of a language, beside your own vector or adapter"
            )
        return WhisperRecognizer(self.model)

    def _as_conditioning(self, lang: str | Conditioning) -> Conditioning:
        return self.condition(lang) if isinstance(lang, str) else lang
