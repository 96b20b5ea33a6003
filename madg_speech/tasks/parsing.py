"""Dependency parsing: biaffine scores of heads and relations, decoded into a tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from madg_speech.metrics.parsing import Tree, universal
from madg_speech.tasks.tagging import IGNORED, Labels
from madg_speech.tasks.trees import best_heads

_NEVER = -1e9


class ParsingHead(nn.Module):
    """Deep biaffine attention (Dozat and Manning 2017, arXiv 1611.01734, section 3).

    For a dependent i and a head j, each seen through a small network of its own,
    s(i, j) = d_i' U h_j + u' h_j. The root is one more head, a learned vector. Relations are scored
    likewise, with a matrix for each.

    Args:
        hidden_size: width H of the words' states.
        relations: the inventory, with ``root``.
        arc_size: width of d and h for heads.
        relation_size: their width for relations.
        dropout: on the states and inside the networks, in training.
    """

    def __init__(
        self,
        hidden_size: int,
        relations: Sequence[str],
        arc_size: int = 256,
        relation_size: int = 64,
        dropout: float = 0.33,
    ):
        super().__init__()
        self.relations = tuple(relations)
        self.root = nn.Parameter(torch.randn(hidden_size) * hidden_size**-0.5)
        self.dropout = nn.Dropout(dropout)

        def network(size: int) -> nn.Module:
            return nn.Sequential(nn.Linear(hidden_size, size), nn.ReLU(), nn.Dropout(dropout))

        self.arc_dependent, self.arc_head = network(arc_size), network(arc_size)
        self.relation_dependent, self.relation_head = network(relation_size), network(relation_size)
        self.arcs = nn.Parameter(torch.zeros(arc_size + 1, arc_size))
        wide = relation_size + 1
        self.kinds = nn.Parameter(torch.zeros(len(self.relations), wide, wide))

    def encode(self, tree: Tree) -> Labels:
        """Labels of one sentence; subtypes of relations are dropped."""
        numbers = {name: i for i, name in enumerate(self.relations)}
        kinds = [numbers[universal(relation)] for relation in tree.relations]
        return {"heads": list(tree.heads), "relations": kinds}

    def loss(self, words: Tensor, mask: Tensor, labels: dict[str, Tensor]) -> Tensor:
        """Cross-entropy of heads plus that of relations at the true heads, means over words.

        Args:
            words: [B, W, H].
            mask: [B, W] bool, true where a word is.
            labels: ``heads`` and ``relations`` [B, W], -100 beyond a sentence's end.
        """
        dependents, heads = self._sides(words)
        arcs = self._score_arcs(dependents, heads, mask)
        kinds = self._score_relations(dependents, heads, labels["heads"].clamp(min=0))
        return nn.functional.cross_entropy(
            arcs.flatten(0, 1), labels["heads"].flatten(), ignore_index=IGNORED
        ) + nn.functional.cross_entropy(
            kinds.flatten(0, 1), labels["relations"].flatten(), ignore_index=IGNORED
        )

    @torch.no_grad()
    def predict(self, words: Tensor, mask: Tensor) -> list[dict[str, Any]]:
        """``heads`` (from 1, 0 for the root) and ``relations`` of each sentence, always a tree.

        The relation is the best one at the decoded head, ``root`` for the word under the root and for
        no other.
        """
        dependents, heads = self._sides(words)
        arcs = self._score_arcs(dependents, heads, mask).log_softmax(-1).double().cpu()
        counts = mask.sum(1).tolist()
        chosen = torch.zeros(mask.shape, dtype=torch.long)
        for row, count in enumerate(counts):
            scores = torch.zeros(count + 1, count + 1, dtype=torch.double)
            scores[1:] = arcs[row, :count, : count + 1].clamp(min=_NEVER)
            scores.fill_diagonal_(0)
            chosen[row, :count] = torch.tensor(best_heads(scores.numpy()))
        kinds = self._score_relations(dependents, heads, chosen.to(words.device))
        root = self.relations.index("root")
        under_root = (chosen == 0).to(words.device)
        kinds[..., root] = torch.where(under_root, -_NEVER, _NEVER)
        best = kinds.argmax(-1).cpu()
        return [
            {
                "heads": tuple(chosen[row, :count].tolist()),
                "relations": tuple(self.relations[i] for i in best[row, :count].tolist()),
            }
            for row, count in enumerate(counts)
        ]

    def _sides(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """Words as dependents [B, W, H], and root and words as heads [B, W + 1, H]."""
        words = self.dropout(words)
        root = self.root.expand(len(words), 1, -1).to(words.dtype)
        return words, torch.cat([root, words], dim=1)

    def _score_arcs(self, dependents: Tensor, heads: Tensor, mask: Tensor) -> Tensor:
        """[B, W, W + 1]: of each head for each dependent; never itself, never padding."""
        d, h = _with_one(self.arc_dependent(dependents)), self.arc_head(heads)
        scores = torch.einsum("bwi,ij,bvj->bwv", d, self.arcs, h)
        count = mask.shape[1]
        itself = torch.eye(count, count + 1, dtype=torch.bool, device=mask.device).roll(1, 1)
        absent = nn.functional.pad(~mask, (1, 0), value=False)
        return scores.masked_fill(itself | absent[:, None], _NEVER)

    def _score_relations(self, dependents: Tensor, heads: Tensor, chosen: Tensor) -> Tensor:
        """[B, W, R]: of each relation between each dependent and its ``chosen`` head [B, W]."""
        d, h = _with_one(self.relation_dependent(dependents)), _with_one(self.relation_head(heads))
        at_head = h.gather(1, chosen[..., None].expand(-1, -1, h.shape[-1]))
        return torch.einsum("bwi,rij,bwj->bwr", d, self.kinds, at_head)


def _with_one(vectors: Tensor) -> Tensor:
    return nn.functional.pad(vectors, (0, 1), value=1.0)
