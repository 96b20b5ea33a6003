"""The best dependency tree: Chu and Liu 1965, Edmonds 1967, with one word under the root."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]


def best_heads(scores: Scores) -> list[int]:
    """Heads of the tree with the greatest sum of arc scores, exactly one of them the root.

    Args:
        scores: [W + 1, W + 1], finite, row = dependent, column = head, 0 is the root; row 0 and the
            diagonal are not looked at.

    Returns:
        The head of words 1 to W.
    """
    arcs = np.array(scores, dtype=np.float64)
    if len(arcs) > 2:
        # Each arc from the root costs more than any tree can gain: the best tree has just one.
        arcs[1:, 0] -= (arcs.max() - arcs.min() + 1) * len(arcs)
    np.fill_diagonal(arcs, -np.inf)
    return [int(head) for head in _arborescence(arcs)[1:]]


def _arborescence(arcs: Scores) -> NDArray[np.intp]:
    """Best head of each node; node 0 has none. Contracts one cycle of greedy heads at a time."""
    heads: NDArray[np.intp] = arcs.argmax(axis=1)
    heads[0] = -1
    cycle = _find_cycle(heads)
    if not len(cycle):
        return heads
    kept = np.setdiff1d(np.arange(len(arcs)), cycle)
    count = len(kept)
    # Entering the cycle at a word takes the place of that word's arc in it.
    entering = arcs[cycle[:, None], kept] - arcs[cycle, heads[cycle]][:, None]
    leaving = arcs[kept[:, None], cycle]
    contracted = np.full((count + 1, count + 1), -np.inf)
    contracted[:count, :count] = arcs[kept[:, None], kept]
    contracted[count, :count] = entering.max(axis=0)
    contracted[:count, count] = leaving.max(axis=1)
    inner = _arborescence(contracted)
    result = heads.copy()
    for node, head in zip(kept[1:], inner[1:count], strict=True):  # node 0 is the first kept
        place = np.searchsorted(kept, node)
        result[node] = cycle[int(leaving[place].argmax())] if head == count else kept[head]
    entry = cycle[int(entering[:, inner[count]].argmax())]
    result[entry] = kept[inner[count]]
    return result


def _find_cycle(heads: NDArray[np.intp]) -> NDArray[np.intp]:
    """The nodes of one cycle, none if there is none."""
    seen = np.zeros(len(heads), dtype=np.intp)
    for start in range(1, len(heads)):
        node = start
        while node > 0 and not seen[node]:
            seen[node] = start
            node = int(heads[node])
        if node > 0 and seen[node] == start:
            cycle = [node]
            while heads[cycle[-1]] != node:
                cycle.append(int(heads[cycle[-1]]))
            return np.array(cycle, dtype=np.intp)
    return np.array([], dtype=np.intp)
