"""Minutes of one language: what to learn from, and the tenth to score while learning."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from madg_speech.backbones.base import Backbone
from madg_speech.config.data import DataConfig
from madg_speech.data.corpus import Corpus, load_corpus
from madg_speech.errors import DataError
from madg_speech.text.vocabulary import Vocabulary
from madg_speech.training.progress import say


def load_minutes(
    manifests: Sequence[str],
    dev_manifest: str | None,
    language: str,
    vocabulary: Vocabulary | None,
    backbone: Backbone,
) -> tuple[Corpus, Corpus]:
    """The utterances to learn from and those to score.

    Without a dev manifest a tenth of the sentences is held out: those whose text hashes lowest, so
    that the choice depends on nothing else and no sentence is on both sides.

    Args:
        manifests: of transcribed audio; utterances in other languages are left out.
        dev_manifest: what to score; None to hold a tenth out.
        language: the ``lang`` of the manifests.
        vocabulary: labels; None for audio without text, where recordings are held out, not sentences.
        backbone: utterances longer than it takes are left out.

    Raises:
        DataError: no utterance of the language, too few to hold any out, recordings on both sides.
    """
    rules = DataConfig(train=tuple(manifests), max_seconds=backbone.max_seconds)
    loaded = load_corpus([Path(m) for m in manifests], rules, vocabulary, backbone.front_end)
    train = _only(loaded, language)
    if dev_manifest is not None:
        scored = load_corpus([Path(dev_manifest)], rules, vocabulary, backbone.front_end)
        dev = _only(scored, language)
        both = set(train.table["audio_hash"]) & set(dev.table["audio_hash"])
        if both:
            raise DataError(f"{len(both)} recordings stand in both --manifest and --dev")
    else:
        train, dev = hold_out(train, "audio_hash" if vocabulary is None else "text")
        say(f"{len(dev.table)} utterances are held out for early stopping; --dev names others")
    say(f"train: {train.summary()}")
    say(f"dev: {dev.summary()}")
    return train, dev


def hold_out(corpus: Corpus, column: str = "text") -> tuple[Corpus, Corpus]:
    """Split off a tenth of a column's distinct values, at least one, in order of their hashes."""
    values = sorted(set(corpus.table[column]), key=_rank)
    if len(values) < 2:
        raise DataError(
            f"{len(corpus.table)} utterances with {len(values)} distinct {column}: too few to hold "
            "any out for early stopping; give more, or a manifest to score with --dev"
        )
    chosen = set(values[: max(1, round(len(values) / 10))])
    parts = []
    for wanted in (False, True):
        rows = [i for i, value in enumerate(corpus.table[column]) if (value in chosen) == wanted]
        parts.append(Corpus(corpus.table.select(rows), {}, corpus.fingerprint))
    train, dev = parts
    return Corpus(train.table, corpus.left_out, corpus.fingerprint), dev


def _rank(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def _only(corpus: Corpus, language: str) -> Corpus:
    spoken = corpus.table["lang"]
    rows = [i for i, lang in enumerate(spoken) if lang == language]
    if not rows:
        raise DataError(
            f"no usable utterance in {language}: the manifest has {', '.join(corpus.languages)}"
        )
    left_out = dict(corpus.left_out)
    others = [
        row_id for row_id, lang in zip(corpus.table["id"], spoken, strict=True) if lang != language
    ]
    if others:
        left_out["in other languages"] = others
    return Corpus(corpus.table.select(rows), left_out, corpus.fingerprint)
