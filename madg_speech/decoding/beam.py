"""Beam search over the words of a lexicon, so that romanised output becomes native script.

Each native word is romanised once; the search follows the spellings in a trie and scores the words by
an n-gram model or their frequencies. The search and KenLM are flashlight-text's (Kahn et al. 2022,
arXiv 2201.12465); MMS Zero-shot (arXiv 2407.17852) decodes by romanisation and lexicon as well.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from flashlight.lib.text.decoder import (
    LM,
    CriterionType,
    LexiconDecoderOptions,
    LMState,
    SmearingMode,
    Trie,
    ZeroLM,
)
from flashlight.lib.text.decoder import LexiconDecoder as BeamSearch
from flashlight.lib.text.dictionary import Dictionary
from torch import Tensor

from madg_speech.decoding.lexicon import Lexicon
from madg_speech.decoding.path import PathWord, words_on_path
from madg_speech.errors import ConfigError, DataError
from madg_speech.text.vocabulary import Vocabulary

HOMOGRAPHS = 6  # flashlight's trie holds no more words of one spelling
MAX_ORDER = 6  # of the KenLM in flashlight's wheels
_UNKNOWN = "<unk>"
_NEVER = -1e4  # log probability of what must not happen


class LexiconDecoder:
    """The likeliest sequence of words of a lexicon, by CTC and language model together.

    The score of a sequence is the log probability of its best path, plus ``lm_weight`` times the
    natural logarithm of its words' probability, plus ``word_score`` for each word. Words that are
    not in the lexicon cannot come out. Of more than six words with one spelling the six most
    frequent stay.

    Args:
        lexicon: what :func:`read_lexicon` returned.
        vocabulary: of the model; has a space.
        lm: ARPA or KenLM binary over the same words, order 2 to 6; without one the counts of the
            lexicon are used, and without counts all words are alike.
        lm_weight: 0 ignores the language model.
        word_score: positive for more words, negative for fewer.
        beam: hypotheses kept.

    Raises:
        DataError: the language model cannot be read, or knows none of the words.
        ConfigError: a vocabulary of phones.
    """

    script = "native"

    def __init__(
        self,
        lexicon: Lexicon,
        vocabulary: Vocabulary,
        lm: Path | None = None,
        *,
        lm_weight: float = 1.0,
        word_score: float = 0.0,
        beam: int = 100,
    ):
        if vocabulary.kind != "romanized":
            raise ConfigError(
                f"a lexicon turns romanised output into words; this checkpoint writes "
                f"{vocabulary.kind}: leave --lexicon out"
            )
        self.vocabulary = vocabulary
        (self._space,) = vocabulary.encode(" ")
        self.words = _most_frequent(lexicon)
        if lm is not None:
            self._lm = _load_kenlm(lm, self.words)
            lm_weight *= math.log(10)  # KenLM's scores are decimal logarithms
        else:
            self._lm = _Frequencies(self.words, lexicon.counts) if lexicon.counts else ZeroLM()
        options = LexiconDecoderOptions(
            beam_size=beam,
            beam_size_token=vocabulary.size,
            beam_threshold=50.0,
            lm_weight=lm_weight,
            word_score=word_score,
            unk_score=-math.inf,
            sil_score=0.0,
            log_add=False,
            criterion_type=CriterionType.CTC,
        )
        trie = self._build_trie(lexicon)
        unknown = len(self.words)
        self._search = BeamSearch(
            options, trie, self._lm, self._space, vocabulary.blank, unknown, [], False
        )

    def decode(self, scores: Tensor) -> list[PathWord]:
        """Words of one utterance: ``scores`` [T, V] are log probabilities, without padding."""
        # A spelling ends in a space: one frame more lets the last word end without its own.
        last = torch.full((1, scores.shape[1]), _NEVER)
        last[0, self._space] = 0.0
        extended = torch.cat([scores.cpu().float(), last]).contiguous()
        frames = len(extended)
        best = self._search.decode(extended.data_ptr(), frames, extended.shape[1])[0]
        path = list(best.tokens)[1 : frames + 1]
        chosen = [self.words[index] for index in best.words if index >= 0]
        # An unfinished word at the end has letters on the path and no entry among the words.
        spelt = words_on_path(path, extended, self.vocabulary)
        return [
            PathWord(word, at.first, min(at.stop, len(scores)), at.score)
            for word, at in zip(chosen, spelt, strict=False)
        ]

    def _build_trie(self, lexicon: Lexicon) -> Any:
        trie = Trie(self.vocabulary.size, self._space)
        start = self._lm.start(False)
        for index, word in enumerate(self.words):
            spelling = self.vocabulary.encode(lexicon.spellings[word])
            _, score = self._lm.score(start, index)
            trie.insert([*spelling, self._space], index, score)
        trie.smear(SmearingMode.MAX)
        return trie


class _Frequencies(LM):  # type: ignore[misc]
    """Unigram language model by counts, one added to each: KenLM takes no order below 2."""

    def __init__(self, words: list[str], counts: dict[str, int]):
        super().__init__()
        total = sum(counts.get(word, 0) + 1 for word in words)
        self._scores = [math.log((counts.get(word, 0) + 1) / total) for word in words]

    def start(self, start_with_nothing: bool) -> Any:
        self._state = LMState()
        return self._state

    def score(self, state: Any, index: int) -> tuple[Any, float]:
        return state, self._scores[index]  # history does not matter: hypotheses merge

    def finish(self, state: Any) -> tuple[Any, float]:
        return state, 0.0


def _most_frequent(lexicon: Lexicon) -> list[str]:
    """Words in the lexicon's order, at most ``HOMOGRAPHS`` of a spelling."""
    alike: dict[str, list[str]] = defaultdict(list)
    for word, spelling in lexicon.spellings.items():
        alike[spelling].append(word)
    dropped: set[str] = set()
    for words in alike.values():
        ranked = sorted(words, key=lambda word: -lexicon.counts.get(word, 0))
        dropped.update(ranked[HOMOGRAPHS:])
    return [word for word in lexicon.spellings if word not in dropped]


def _load_kenlm(path: Path, words: list[str]) -> Any:
    from flashlight.lib.text.decoder.kenlm import KenLM

    if not path.is_file():
        raise DataError(f"language model not found: {path}")
    _check_arpa(path, set(words))
    entries = Dictionary()
    for word in [*words, _UNKNOWN]:
        entries.add_entry(word)
    try:
        with _quiet():
            return KenLM(str(path), entries)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise DataError(
            f"{path}: no language model that can be read (ARPA or KenLM binary, order 2 to "
            f"{MAX_ORDER}): {reason}"
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Standard error to nowhere: KenLM draws a progress bar on it, which no option turns off."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _check_arpa(path: Path, words: set[str]) -> None:
    """What KenLM would say unclearly, or not at all: a wrong order, or other words."""
    with path.open("rb") as file:
        head = file.read(65536)
    if b"\\data\\" not in head:
        return  # binary, or nothing at all: KenLM says so
    order = sum(line.startswith(b"ngram ") for line in head.split(b"\\1-grams:")[0].splitlines())
    if not 2 <= order <= MAX_ORDER:
        raise DataError(f"{path}: an n-gram model of order {order}; expected 2 to {MAX_ORDER}")
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            fields = line.split()
            if line.startswith("\\2-grams:"):
                break
            if len(fields) > 1 and fields[1] in words:
                return
    raise DataError(
        f"{path}: knows none of the lexicon's {len(words)} words; make both from one text "
        "(`madg-speech build-lexicon`)"
    )
