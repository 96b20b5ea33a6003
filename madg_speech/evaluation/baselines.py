"""Systems of others to compare with: plain Whisper in three modes, and MMS."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from madg_speech.audio import SAMPLE_RATE, Waveform
from madg_speech.backbones.weights import PICKLE, backbone_folder, fetch_beside
from madg_speech.backbones.whisper_whole import load_whisper
from madg_speech.decoding.whisper_tokens import LONGEST
from madg_speech.errors import BackboneError
from madg_speech.formats.mms import by_iso
from madg_speech.typology import nearest

ADAPTER = "adapter.{}.safetensors"
WHISPER_MODES = ("auto", "given", "nearest")
_ROWS = 8  # Whisper pads each row to 30 s, however short it is


class WhisperDecoder:
    """A whole Whisper model, greedy, without time stamps, temperature fallback or earlier text.

    Args:
        model: folder or hub id.
        device: ``cpu``, ``cuda`` ...

    Raises:
        BackboneError: not found, not Whisper, or an English-only one.
    """

    def __init__(self, model: str, device: str):
        from transformers import WhisperProcessor

        self.model = load_whisper(model).to(device)
        folder = backbone_folder(model)
        self.name = model
        self.sha256 = _weights_hash(folder)
        self.processor = WhisperProcessor.from_pretrained(folder)
        tokens = getattr(self.model.generation_config, "lang_to_id", None)
        if not tokens:
            raise BackboneError(f"{model} has no language tokens: a multilingual Whisper is needed")
        self.tokens = by_iso(token.strip("<|>") for token in tokens)
        # A language of Whisper's sounds the same in modes "given" and "nearest": decoded once.
        self._heard: dict[tuple[str | None, bytes], str] = {}

    def transcribe(self, waveforms: Sequence[Waveform], token: str | None) -> list[str]:
        """Text of each waveform, decoded with a language token; None lets Whisper find one."""
        keys = [(token, hashlib.blake2b(waveform.tobytes()).digest()) for waveform in waveforms]
        todo = {key: w for key, w in zip(keys, waveforms, strict=True) if key not in self._heard}
        names = list(todo)
        for start in range(0, len(names), _ROWS):
            batch = names[start : start + _ROWS]
            self._heard |= zip(
                batch, self._decode([todo[key] for key in batch], token), strict=True
            )
        return [self._heard[key] for key in keys]

    @torch.inference_mode()
    def _decode(self, waveforms: Sequence[Waveform], token: str | None) -> list[str]:
        inputs = self.processor.feature_extractor(
            list(waveforms),
            sampling_rate=SAMPLE_RATE,
            return_tensors="pt",
            return_attention_mask=True,
        ).to(self.model.device)
        said = self.model.generate(
            inputs.input_features,
            attention_mask=inputs.attention_mask,
            language=token,
            task="transcribe",
            num_beams=1,
            do_sample=False,
            max_new_tokens=LONGEST,
        )
        texts = self.processor.tokenizer.batch_decode(said, skip_special_tokens=True)
        return [str(text).strip() for text in texts]


class WhisperBaseline:
    """Plain Whisper in one mode.

    ``auto``: Whisper finds the language. ``given``: it is told, where it has a token for the
    language, and finds one where not. ``nearest``: it is told, or told the typologically nearest
    language that it has a token for.
    """

    max_seconds = 30.0

    def __init__(self, decoder: WhisperDecoder, mode: str):
        self.decoder = decoder
        self.mode = mode
        self.name = f"{Path(decoder.name).name}.{mode}"

    def describe(self) -> dict[str, Any]:
        """Model and mode."""
        return {
            "kind": "whisper",
            "model": self.decoder.name,
            "backbone": self.decoder.name,
            "sha256": self.decoder.sha256,
            "mode": self.mode,
            "decoding": f"greedy, at most {LONGEST} tokens",
            "script": "native",
        }

    def condition(self, language: str) -> str | None:
        """The language token."""
        if self.mode == "auto":
            return None
        tokens = self.decoder.tokens
        if language in tokens or self.mode == "given":
            return tokens.get(language)
        return tokens[nearest(language, tokens, 1)[0].iso]

    def transcribe(self, waveforms: Sequence[Waveform], language: str) -> list[str]:
        """What Whisper writes, in whichever script."""
        return self.decoder.transcribe(waveforms, self.condition(language))


class MmsBaseline:
    """A CTC model of the wav2vec2 family: MMS with its language adapters, or any without.

    Where ``vocab.json`` holds a vocabulary for each language, ``adapter.LANG.safetensors`` (attention
    adapters and output layer; Pratap et al. 2023, arXiv 2305.13516) is put in for each language, from
    the model's folder or fetched from the hub on first use; a language that has none gets the
    typologically nearest one's. A model without adapters, such as MMS Zero-shot, is taken to emit
    romanised text.

    Args:
        model: folder or hub id.
        device: ``cpu``, ``cuda`` ...

    Raises:
        BackboneError: not found, or not a CTC model of that family with a vocabulary.
    """

    max_seconds = 60.0

    def __init__(self, model: str, device: str):
        from transformers import AutoConfig, Wav2Vec2ForCTC, Wav2Vec2Processor

        self.folder = backbone_folder(model)
        config = AutoConfig.from_pretrained(self.folder)
        if config.model_type != "wav2vec2":
            raise BackboneError(
                f"{model} is a {config.model_type} model; --baseline mms needs a wav2vec2 CTC model"
            )
        if not (self.folder / "vocab.json").is_file():
            raise BackboneError(
                f"{model} has no vocab.json: --baseline mms needs a model tuned for CTC"
            )
        self.model_name = model
        self.name = Path(model).name
        self.processor = Wav2Vec2Processor.from_pretrained(self.folder)
        self.adapters = by_iso(self._adapter_codes())
        self.device = device
        self.active: str | None = None
        self.model = Wav2Vec2ForCTC.from_pretrained(self.folder).eval().to(device)

    def describe(self) -> dict[str, Any]:
        """Model and how many adapters it has."""
        return {
            "kind": "mms",
            "model": self.model_name,
            "sha256": _weights_hash(self.folder),
            "adapters": len(self.adapters),
            "decoding": "greedy CTC",
            "script": "native" if self.adapters else "romanized",
        }

    def condition(self, language: str) -> str | None:
        """The adapter that is used."""
        if not self.adapters:
            return None
        own = self.adapters.get(language)
        return own or self.adapters[nearest(language, self.adapters, 1)[0].iso]

    @torch.inference_mode()
    def transcribe(self, waveforms: Sequence[Waveform], language: str) -> list[str]:
        """Greedy CTC text of each waveform."""
        adapter = self.condition(language)
        if adapter != self.active and adapter is not None:
            fetch_beside(self.model_name, ADAPTER.format(adapter))
            self.processor.tokenizer.set_target_lang(adapter)
            self.model.load_adapter(adapter, local_files_only=True)
            self.model.to(self.device)
        self.active = adapter
        inputs = self.processor(
            list(waveforms), sampling_rate=SAMPLE_RATE, return_tensors="pt", padding=True
        ).to(self.device)
        best = self.model(**inputs).logits.argmax(-1)
        return [str(text).strip() for text in self.processor.batch_decode(best)]

    def _adapter_codes(self) -> list[str]:
        vocabulary = json.loads((self.folder / "vocab.json").read_text(encoding="utf-8"))
        codes = [code for code, tokens in vocabulary.items() if isinstance(tokens, dict)]
        if Path(self.model_name).expanduser().is_dir():
            return [code for code in codes if (self.folder / ADAPTER.format(code)).is_file()]
        return codes


def _weights_hash(folder: Path) -> str:
    """SHA-256 over the model's weight files in order of name, without adapters fetched later."""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("model*.safetensors"), *folder.glob(PICKLE)]):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
