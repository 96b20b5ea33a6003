"""Chu-Liu/Edmonds against networkx, over every choice of the word under the root."""

from __future__ import annotations

import networkx
import numpy as np
import pytest

from madg_speech.tasks.trees import best_heads


def best_total(scores: np.ndarray) -> float:
    """The best tree's score by networkx: one arborescence for each possible root word."""
    totals = []
    for root in range(1, len(scores)):
        graph = networkx.DiGraph()
        graph.add_node(root)
        for dependent in range(1, len(scores)):
            for head in range(1, len(scores)):
                if dependent not in (head, root):
                    graph.add_edge(head, dependent, weight=scores[dependent, head])
        tree = networkx.maximum_spanning_arborescence(graph) if len(scores) > 2 else graph
        totals.append(scores[root, 0] + sum(scores[d, h] for h, d in tree.edges))
    return max(totals)


@pytest.mark.parametrize("seed", range(40))
def test_it_is_the_best_tree_with_one_root(seed: int) -> None:
    random = np.random.default_rng(seed)
    words = int(random.integers(1, 8))
    scores = random.normal(size=(words + 1, words + 1)) * 3
    heads = best_heads(scores)
    assert heads.count(0) == 1
    for word in range(1, words + 1):  # every word leads to the root
        above = word
        for _ in range(words):
            above = heads[above - 1] if above else 0
        assert above == 0
    total = sum(scores[d, h] for d, h in enumerate(heads, start=1))
    assert total == pytest.approx(best_total(scores))
