"""Adapters in Whisper's encoder, learned through its frozen decoder: cross-entropy of text tokens.

The audio is padded with silence to the 30 s that the decoder was trained on, and no frame is masked.
Adapters act on the frames that hold audio alone: silence after an utterance is of no language, and
what the decoder knows it by (Radford et al. 2022, arXiv 2212.04356, trained on such windows) stays as it
was. A checkpoint trained for CTC has never adapted padding either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import send_to_device
from torch import Tensor, nn

from madg_speech.adapted_encoder import AdaptedEncoder, load_encoder
from madg_speech.adapters import AdapterWeights
from madg_speech.backbones.base import Backbone, Waveform
from madg_speech.backbones.mel import PaddedLogMel
from madg_speech.backbones.whisper import WhisperBackbone
from madg_speech.checkpoint import (
    ModelConfig,
    checkpoint_folder,
    read_card,
    read_model_config,
    read_weights,
)
from madg_speech.config.objectives import Seq2SeqConfig
from madg_speech.decoding.whisper_decoder import WhisperTextDecoder, Written
from madg_speech.errors import CheckpointError
from madg_speech.model import mask_spans
from madg_speech.objectives.ctc import IGNORED
from madg_speech.sources import build_source


class Seq2Seq(AdaptedEncoder):
    """An adapted Whisper encoder under Whisper's own decoder; only the source learns.

    Args:
        backbone: frozen Whisper encoder; from now on it hears full windows.
        source: adapter weights; None for no adapters at all.
        config: what is written to ``config.json``; it says the temperature of prompts.
        mask_time: share of spoken frames set to zero below the first adapter while training.

    Raises:
        ConfigError: the backbone is no Whisper.
        BackboneError: its folder lacks the decoder, the tokenizer or the language tokens.
    """

    backbone: WhisperBackbone
    kept_out = ("backbone.", "decoder.")

    def __init__(
        self, backbone: Backbone, source: Any, config: ModelConfig, mask_time: float = 0.0
    ):
        super().__init__(backbone, source, config)
        asked = config.seq2seq or Seq2SeqConfig()
        self.decoder = WhisperTextDecoder.of_backbone(
            backbone, config.backbone.revision, asked.temperature
        )
        self.front_end = PaddedLogMel(self.backbone.front_end.bins, self.backbone.max_frames)
        self.backbone.front_end = self.front_end
        self.mask_time = mask_time

    def encode(
        self,
        hidden: Tensor,
        spoken: Tensor,
        languages: Sequence[str | None],
        adapter: AdapterWeights | None = None,
    ) -> Tensor:
        """What the decoder attends to, [B, T, H].

        Args:
            hidden: [B, T, H] of :meth:`prefix`.
            spoken: [B] frames that hold audio.
            languages: whose adapter each row gets; None for no adapter.
            adapter: in place of the source's.
        """
        active = self.adapters_for(languages, adapter)
        within = active and active.within(spoken, hidden.shape[1])
        with self.injection.use(within):
            hidden = self.backbone.run_layers(hidden, None, start=self.prefix_layers)
        return self.backbone.finish(hidden)

    def forward(
        self,
        lengths: Tensor,
        spoken: Tensor,
        languages: Sequence[str],
        tokens: Tensor,
        features: Tensor | None = None,
        hidden: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Logits [B, S + 1, V] under teacher forcing.

        Args:
            lengths: [B], those of the window, like ``features`` and ``hidden``.
            spoken: [B] encoder frames that hold audio.
            languages: ISO 639-3 code per row, of adapter and prompt.
            tokens: [B, S] tokens of the text.
            features: log-mel [B, mel, T] of a full window; or
            hidden: [B, T, H], what :meth:`prefix` returned (a cached prefix).
        """
        if hidden is None:
            assert features is not None
            hidden, _ = self.prefix(features, lengths)
        if self.training and self.mask_time:
            hidden = mask_spans(hidden, spoken, self.mask_time)
        return {"logits": self.decoder(self.encode(hidden, spoken, languages), languages, tokens)}

    @torch.inference_mode()
    def hear(self, waveforms: Sequence[Waveform]) -> tuple[Tensor, Tensor]:
        """:meth:`prefix` of 16 kHz waveforms of at most a window: hidden [B, T, H], spoken frames [B]."""
        hidden, _ = self.prefix(*self.backbone.features(waveforms))
        return hidden, torch.tensor([self.front_end.spoken(len(one)) for one in waveforms])

    @torch.inference_mode()
    def write(
        self,
        hidden: Tensor,
        spoken: Tensor,
        prompts: Sequence[str],
        languages: Sequence[str | None],
        adapter: AdapterWeights | None = None,
    ) -> list[Written]:
        """Tokens of each row, greedily.

        Args:
            hidden: of :meth:`hear`.
            spoken: likewise.
            prompts: ISO 639-3 code per row, for the decoder.
            languages: whose adapter each row gets; None for no adapter.
            adapter: in place of the source's.
        """
        return self.decoder.write(self.encode(hidden, spoken, languages, adapter), prompts)

    @classmethod
    def from_pretrained(
        cls,
        folder: Path | str,
        backbone: str | None = None,
        temperature: float | None = None,
    ) -> Seq2Seq:
        """Load a checkpoint trained for seq2seq, or the adapters of one trained for CTC, head ignored.

        Args:
            folder: or ``default``, or a hub id.
            backbone: in place of the one that the checkpoint names.
            temperature: of prompts, in place of the checkpoint's own.

        Raises:
            CheckpointError: missing, broken, made for another backbone, or trained for neither.
            ConfigError: the backbone is no Whisper.
            BackboneError: it cannot be found, or has no decoder.
        """
        folder = checkpoint_folder(folder)
        config = read_model_config(folder)
        if config.objective not in ("seq2seq", "ctc"):
            raise CheckpointError(
                f"{folder} was trained for {config.objective}; Whisper's decoder takes adapters of "
                "seq2seq, or of ctc"
            )
        changes: dict[str, Any] = {}
        if temperature is not None:
            changes["seq2seq"] = Seq2SeqConfig(temperature=temperature)
        if config.objective == "ctc":
            changes["expected_cer"] = {}  # measured with the head that is ignored here
        encoder = load_encoder(config, folder, backbone)
        if backbone:
            changes["backbone"] = config.backbone.model_copy(
                update={"name": backbone, "revision": None}
            )
        source = build_source(config.source, config.hidden_size, config.layers, config.languages)
        model = cls(encoder, source, config.model_copy(update=changes))
        state = read_weights(folder)
        model.load_trainable_state(
            {name: value for name, value in state.items() if name.startswith("source.")},
            str(folder),
        )
        model.card = read_card(folder)
        return model.eval()


def seq2seq_loss(
    outputs: Mapping[str, Tensor], labels: Tensor, num_items_in_batch: Tensor | int | None = None
) -> Tensor:
    """Cross-entropy in nats per text token, the end of each transcript among them.

    Args:
        outputs: ``logits`` [B, S, V].
        labels: [B, S] tokens, -100 after the end.
        num_items_in_batch: tokens in the optimiser step over all ranks; those of ``labels`` when None.
    """
    total = nn.functional.cross_entropy(
        outputs["logits"].float().flatten(0, 1),
        labels.flatten(),
        ignore_index=IGNORED,
        reduction="sum",
    )
    return total / ((labels != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch)


@torch.inference_mode()
def seq2seq_scores(
    model: Seq2Seq,
    table: Any,
    collator: Callable[[list[dict[str, Any]]], dict[str, Any]],
    rows_per_batch: int = 8,
) -> dict[str, dict[str, float]]:
    """``token_loss``: language -> cross-entropy in nats per token under teacher forcing."""
    order = sorted(range(len(table)), key=table["seconds"].__getitem__)
    sums: dict[str, tuple[float, int]] = {}
    for start in range(0, len(order), rows_per_batch):
        batch = collator([table[i] for i in order[start : start + rows_per_batch]])
        labels = batch.pop("labels")
        batch = send_to_device(batch, model.device)
        logits = model(**batch)["logits"].float().cpu()
        losses = nn.functional.cross_entropy(
            logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"
        ).sum(1)
        counts = (labels != IGNORED).sum(1)
        for language, loss, count in zip(
            batch["languages"], losses.tolist(), counts.tolist(), strict=True
        ):
            before = sums.get(language, (0.0, 0))
            sums[language] = before[0] + loss, before[1] + count
    return {"token_loss": {language: loss / count for language, (loss, count) in sums.items()}}
