"""n-gram language models from sentences: interpolated modified Kneser-Ney, written as ARPA.

Chen and Goodman 1998, "An empirical study of smoothing techniques for language modeling" (TR-10-98),
section 3: three discounts an order, lower orders from the number of different words before.
The file format is that of SRILM's ngram-format(5).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from madg_speech.cache import atomic_path

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
Ngram = tuple[str, ...]
# Where a text is too small to estimate discounts: what KenLM's lmplz falls back to.
_FALLBACK = (0.5, 1.0, 1.5)


class NgramModel:
    """Probabilities ``p(word | history)`` of all n-grams seen, and a back-off weight for the rest.

    Args:
        sentences: words each.
        order: longest n-gram, 1 or more.
        vocabulary: words outside become ``<unk>``; all words seen when left out.

    Raises:
        ValueError: no words, or an order below 1.
    """

    def __init__(
        self,
        sentences: Iterable[Sequence[str]],
        order: int = 3,
        vocabulary: Iterable[str] | None = None,
    ):
        if order < 1:
            raise ValueError(f"order {order}: 1 or more expected")
        known = None if vocabulary is None else frozenset(vocabulary)
        counts = _count(sentences, order, known)
        if not counts[0]:
            raise ValueError("no words to estimate from")
        words = {word for (word,) in counts[0]} | (known or frozenset()) | {END, UNKNOWN}
        self.words = sorted(words - {BEGIN})
        self._known = {*self.words, BEGIN}
        self.order = order
        self.probabilities: list[dict[Ngram, float]] = []
        self.backoffs: list[dict[Ngram, float]] = []  # of histories: n words at place n
        for length, table in enumerate(counts, start=1):
            self._add_order(table, length)

    def probability(self, word: str, history: Ngram = ()) -> float:
        """``p(word | history)``; what is not in the vocabulary counts as ``<unk>``."""
        given = (*history, word)[-self.order :]
        seen = tuple(one if one in self._known else UNKNOWN for one in given)
        return self._look_up(seen)

    def _look_up(self, ngram: Ngram) -> float:
        found = self.probabilities[len(ngram) - 1].get(ngram)
        if found is not None:
            return found
        return self.backoffs[len(ngram) - 1].get(ngram[:-1], 1.0) * self._look_up(ngram[1:])

    def _add_order(self, table: Counter[Ngram], length: int) -> None:
        discounts = _discounts(table)
        totals: dict[Ngram, int] = defaultdict(int)
        taken: dict[Ngram, float] = defaultdict(float)
        for ngram, count in table.items():
            if ngram == (BEGIN,):
                continue  # never predicted
            totals[ngram[:-1]] += count
            taken[ngram[:-1]] += discounts[min(count, 3) - 1]
        weights = {history: taken[history] / totals[history] for history in totals}
        self.backoffs.append(weights)
        if length == 1:
            uniform = weights[()] / len(self.words)
            own = {
                (word,): uniform + (count - discounts[min(count, 3) - 1]) / totals[()]
                for (word,), count in table.items()
                if word != BEGIN
            }
            self.probabilities.append({(word,): own.get((word,), uniform) for word in self.words})
            return
        self.probabilities.append(
            {
                ngram: (count - discounts[min(count, 3) - 1]) / totals[ngram[:-1]]
                + weights[ngram[:-1]] * self._look_up(ngram[1:])
                for ngram, count in table.items()
            }
        )

    def save_arpa(self, path: Path) -> None:
        """Write the model whole or not at all; decimal logarithms, as the format has them."""
        with atomic_path(path) as draft, draft.open("w", encoding="utf-8") as file:
            tables = [dict(table) for table in self.probabilities]
            tables[0][(BEGIN,)] = 0.0
            file.write("\\data\\\n")
            for length, table in enumerate(tables, start=1):
                file.write(f"ngram {length}={len(table)}\n")
            for length, table in enumerate(tables, start=1):
                file.write(f"\n\\{length}-grams:\n")
                weights = self.backoffs[length] if length < self.order else {}
                for ngram, probability in sorted(table.items()):
                    line = f"{_log10(probability):.6f}\t{' '.join(ngram)}"
                    weight = weights.get(ngram)
                    file.write(line + (f"\t{_log10(weight):.6f}\n" if weight is not None else "\n"))
            file.write("\n\\end\\\n")


def _count(
    sentences: Iterable[Sequence[str]], order: int, known: frozenset[str] | None
) -> list[Counter[Ngram]]:
    """Counts of n-grams of each length: plain at the top, and where a sentence begins; below, the
    number of different words before."""
    plain: list[Counter[Ngram]] = [Counter() for _ in range(order)]
    for sentence in sentences:
        if not sentence:
            continue
        inside = (word if known is None or word in known else UNKNOWN for word in sentence)
        padded = (BEGIN, *inside, END)
        for length, table in enumerate(plain, start=1):
            for first in range(len(padded) - length + 1):
                table[padded[first : first + length]] += 1
    tables = [plain[-1]]
    for length in range(order - 1, 0, -1):
        before: Counter[Ngram] = Counter(ngram[1:] for ngram in plain[length])
        for ngram, count in plain[length - 1].items():
            if ngram[0] == BEGIN:
                before[ngram] = count
        tables.insert(0, before)
    return tables


def _discounts(table: Counter[Ngram]) -> tuple[float, float, float]:
    """What is taken from n-grams seen once, twice, and more often (Chen and Goodman, eq. 26)."""
    often = Counter(min(count, 5) for ngram, count in table.items() if ngram != (BEGIN,))
    if not all(often[times] for times in (1, 2, 3, 4)):
        return _FALLBACK
    share = often[1] / (often[1] + 2 * often[2])
    one, two, three = (
        times - (times + 1) * share * often[times + 1] / often[times] for times in (1, 2, 3)
    )
    if not (0 < one < 1 and 0 < two < 2 and 0 < three < 3):
        return _FALLBACK
    return one, two, three


def _log10(value: float) -> float:
    return math.log10(value) if value > 0 else -99.0
