"""wav2vec 2.0's contrastive objective (Baevski et al. 2020, arXiv 2006.11477) on adapted encoders.

At a masked frame the encoder must tell the quantised features of that frame from those of other
masked frames of the same utterance. The quantiser and its projections come with the pretrained model
(``quantizer``, ``project_q`` and ``project_hid`` of transformers' ``Wav2Vec2ForPreTraining``); the
feature encoder and the transformer stay frozen. A quantiser that collapses makes the task trivial:
watch the perplexity of its codes, which then falls to the number of codebooks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2GumbelVectorQuantizer

from madg_speech.adapted_encoder import AdaptedEncoder
from madg_speech.adapters import AdapterWeights
from madg_speech.backbones.wav2vec2 import Wav2Vec2Backbone
from madg_speech.backbones.weights import backbone_folder, read_tensors
from madg_speech.checkpoint import ModelConfig
from madg_speech.config.objectives import ContrastiveConfig
from madg_speech.errors import BackboneError

HEADS = ("quantizer", "project_hid", "project_q")


class Contrastive(AdaptedEncoder):
    """An adapted wav2vec2 with its quantiser.

    Args:
        backbone: wav2vec2, XLS-R or MMS.
        source: adapter weights.
        config: what is written to ``config.json``.
        settings: whether the quantiser learns, and its temperature.

    Raises:
        BackboneError: another kind of backbone, or a frozen quantiser that the backbone lacks.
    """

    def __init__(
        self, backbone: Any, source: Any, config: ModelConfig, settings: ContrastiveConfig
    ):
        super().__init__(backbone, source, config)
        if not isinstance(backbone, Wav2Vec2Backbone) or (
            backbone.model.config.model_type != "wav2vec2"
        ):
            raise BackboneError(
                f"objective contrastive is that of wav2vec2, XLS-R and MMS; for {backbone.name} "
                "choose objective: best-rq"
            )
        shape = self.shape = backbone.model.config
        self.settings = settings
        self.quantizer = Wav2Vec2GumbelVectorQuantizer(shape)
        nn.init.uniform_(self.quantizer.codevectors)
        nn.init.normal_(self.quantizer.weight_proj.weight)
        nn.init.zeros_(self.quantizer.weight_proj.bias)
        self.project_hid = nn.Linear(shape.hidden_size, shape.proj_codevector_dim)
        self.project_q = nn.Linear(shape.codevector_dim, shape.proj_codevector_dim)
        self.frozen = settings.quantizer == "frozen"
        self._take_pretrained(config.backbone.revision)
        if self.frozen:
            self.quantizer.requires_grad_(False)
        self._perplexity: Tensor | None = None

    def _take_pretrained(self, revision: str | None) -> None:
        folder = backbone_folder(self.backbone.name, revision)
        found = {name: read_tensors(folder, (f"{name}.",)) for name in HEADS}
        if all(found.values()):
            for name, state in found.items():
                self.get_submodule(name).load_state_dict(state)
        elif self.frozen:
            raise BackboneError(
                f"{self.backbone.name} comes without its quantiser (it was saved without "
                "Wav2Vec2ForPreTraining's heads): set contrastive.quantizer: trained"
            )

    def train(self, mode: bool = True) -> Contrastive:
        """A frozen quantiser never samples."""
        super().train(mode)
        self.quantizer.train(mode and not self.frozen)
        return self

    def at_step(self, step: int) -> None:
        """Cool the Gumbel softmax."""
        start, least = self.settings.temperature
        self.quantizer.temperature = max(least, start * self.settings.temperature_decay**step)

    def readings(self) -> dict[str, float]:
        """Perplexity of the codes in the last batch, summed over codebooks."""
        if self._perplexity is None:
            return {}
        return {
            "code_perplexity": round(float(self._perplexity), 2),
            "temperature": round(float(self.quantizer.temperature), 4),
        }

    def forward(
        self,
        lengths: Tensor,
        languages: Sequence[str | None],
        features: Tensor,
        mask: Tensor,
        negatives: Tensor,
        adapter: AdapterWeights | None = None,
    ) -> dict[str, Tensor]:
        """Similarities at the M masked frames, row after row.

        Args:
            lengths: [B] samples.
            languages: ISO 639-3 code per row; None for no adapter.
            features: waveforms [B, samples] of the front end.
            mask: [B, T] bool in encoder frames, false in padding.
            negatives: [B, T, K] frame numbers of the same row, looked at where masked.
            adapter: in place of the source's.

        Returns:
            logits [M, 1 + K], the positive first and negatives equal to it at -inf; ``penalty``, the
            weighted diversity loss times M; ``codes`` [M, G], the codes of the targets.
        """
        shape = self.shape
        hidden, observed, frames = self.masked_prefix(features, lengths, mask)
        states = self.adapted_layers(hidden, frames, languages, adapter)
        predicted = self.project_hid(states[mask])
        vectors, perplexity = self.quantizer(observed, mask)
        quantised = self.project_q(vectors.to(self.project_q.weight.dtype))
        rows, _ = mask.nonzero(as_tuple=True)
        positive, others = quantised[mask], quantised[rows[:, None], negatives[mask]]
        candidates = torch.cat([positive[:, None], others], 1)
        logits = torch.cosine_similarity(predicted.float()[:, None], candidates.float(), -1)
        same = (others == positive[:, None]).all(-1)
        logits = logits / shape.contrastive_logits_temperature
        same = nn.functional.pad(same, (1, 0))
        logits = logits.masked_fill(same, float("-inf"))
        self._perplexity = perplexity.detach()
        total = shape.num_codevectors_per_group * shape.num_codevector_groups
        penalty = shape.diversity_loss_weight * (total - perplexity) / total * mask.sum()
        return {"logits": logits, "penalty": penalty, "codes": self._codes(observed[mask])}

    @torch.no_grad()
    def _codes(self, observed: Tensor) -> Tensor:
        """The likeliest code of each codebook, [M, G]."""
        scores: Tensor = self.quantizer.weight_proj(observed)
        return scores.view(len(observed), self.quantizer.num_groups, -1).argmax(-1)


def contrastive_loss(
    outputs: Mapping[str, Tensor], labels: Tensor, num_items_in_batch: Tensor | int | None = None
) -> Tensor:
    """Contrastive and diversity loss in nats per masked frame.

    Args:
        outputs: of :class:`Contrastive`.
        labels: [B, T], 0 in masked frames (the positive comes first), -100 elsewhere.
        num_items_in_batch: masked frames in the optimiser step over all ranks; those of ``labels``
            when None.
    """
    logits = outputs["logits"].float()
    positive = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
    total = nn.functional.cross_entropy(logits, positive, reduction="sum") + outputs["penalty"]
    return total / (len(logits) if num_items_in_batch is None else num_items_in_batch)
