"""Data of a fold: utterances to train on, choose by and test, without a clade or a text in common.

Test and development utterances that a training transcript of the fold gives away (edit distance 1 or
20 %, in any language) are dropped before the first of the rest are taken, in the order of the manifests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from madg_speech.cache import atomic_path
from madg_speech.data.manifest import Utterance, read_manifest, write_manifest
from madg_speech.metrics.error_rate import character_errors, word_errors
from madg_speech.splits import clade_of, find_leaks
from madg_speech.text.vocabulary import Vocabulary
from madg_speech.typology import select_diverse, select_random

HERE = Path(__file__).parent
VOCABULARY = Vocabulary.romanized()


@dataclass(frozen=True)
class Corpora:
    """Recorded utterances by language, test ones first, and synthetic ones."""

    tested: dict[str, list[Utterance]]
    recorded: dict[str, list[Utterance]]
    synthetic: dict[str, list[Utterance]]


def read_plan() -> dict[str, Any]:
    """``plan.yaml``."""
    plan: dict[str, Any] = yaml.safe_load((HERE / "plan.yaml").read_text("utf-8"))
    return plan


def read_corpora(data: Path, espeak: Path) -> Corpora:
    """Recorded speech under ``data/speech`` and what `madg-speech prepare espeak` wrote."""
    tested, recorded, synthetic = {}, {}, {}
    for folder in sorted((data / "speech").iterdir()):
        if (folder / "train.jsonl").is_file():
            recorded[folder.name] = read_manifest(folder / "train.jsonl")
            if (folder / "test.jsonl").is_file():
                tested[folder.name] = read_manifest(folder / "test.jsonl")
    for utterance in read_manifest(espeak / "train.jsonl"):
        synthetic.setdefault(utterance.lang, []).append(utterance)
    return Corpora(tested, recorded, synthetic)


def write_fold(name: str, corpora: Corpora, plan: dict[str, Any], folder: Path) -> None:
    """Write ``train``, ``dev``, ``test``, ``seen`` manifests and ``fold.json``, what results refer to."""
    dev_clades = {clade_of(code) for code in plan["dev_clades"]}
    held_out = {clade_of(code) for code in plan["folds"][name]}
    out = dev_clades | held_out
    train = [
        utterance
        for rows, most in (
            (corpora.recorded, plan["recorded_per_language"]),
            (corpora.synthetic, None),
        )
        for language, utterances in rows.items()
        if clade_of(language) not in out
        for utterance in _spread(utterances, most)
    ]
    given_away = {romanized(u) for u in train}
    sets = {
        "test": _choose(corpora, held_out, plan["test_per_language"], given_away),
        "dev": _choose(corpora, dev_clades, plan["test_per_language"], given_away),
        "seen": [
            utterance
            for language, utterances in corpora.tested.items()
            if clade_of(language) not in out
            for utterance in utterances[: plan["seen_per_language"]]
        ],
    }
    sets["test"] = [u for u in sets["test"] if u.lang not in plan["not_tested"]]
    write_manifest(folder / "train.jsonl", train)
    for split, utterances in sets.items():
        write_manifest(folder / f"{split}.jsonl", utterances)
    description = {
        "trained": sorted({u.lang for u in train}),
        "train_hours": round(sum(u.seconds for u in train) / 3600, 3),
        "train_utterances": len(train),
        "sets": {split: _describe(rows, plan) for split, rows in sets.items()},
    }
    with atomic_path(folder / "fold.json") as draft:
        draft.write_text(json.dumps(description, separators=(",", ":")) + "\n", "utf-8")


def write_part(folder: Path, rule: dict[str, Any], seed: int) -> str:
    """Write the part of ``train.jsonl`` that an arm hears, and return the manifest's name.

    Args:
        folder: of a fold.
        rule: of ``plan.yaml``: ``recorded: true``, nothing synthetic; ``languages: [...]``, those
            alone; ``diverse: N`` or ``random: N`` languages, drawn with the cell's seed.
        seed: of the cell.
    """
    ((kind, wanted),) = rule.items()
    train = read_manifest(folder / "train.jsonl")
    if kind == "recorded":
        kept = [u for u in train if not (u.source or "").startswith("espeak")]
        name = "train-recorded.jsonl"
    else:
        heard = {u.lang for u in train}
        select = {"diverse": select_diverse, "random": select_random}
        languages = wanted if kind == "languages" else select[kind](sorted(heard), wanted, seed)
        kept = [u for u in train if u.lang in languages]
        drawn = "-".join(wanted) if kind == "languages" else f"{kind}-{wanted}-{seed}"
        name = f"train-{drawn}.jsonl"
    if not kept:
        raise SystemExit(f"{folder}/train.jsonl has nothing that {rule} keeps")
    write_manifest(folder / name, kept)
    return name


def _spread(utterances: Sequence[Utterance], most: int | None) -> Sequence[Utterance]:
    """At most ``most``, evenly spread over the manifest (its sources stand one after another)."""
    if most is None or len(utterances) <= most:
        return utterances
    return [utterances[i * len(utterances) // most] for i in range(most)]


def _choose(
    corpora: Corpora, clades: set[tuple[str, ...]], most: int, given_away: set[str]
) -> list[Utterance]:
    """Up to ``most`` utterances a language: recorded where there are any, else synthetic."""
    chosen: list[Utterance] = []
    named = {code: corpora.recorded[code] for code in corpora.recorded if clade_of(code) in clades}
    for code, utterances in corpora.synthetic.items():
        # a clade without any recording is heard from the synthesiser
        if clade_of(code) in clades and clade_of(code) not in set(map(clade_of, named)):
            named.setdefault(code, utterances)
    for code, utterances in sorted(named.items()):
        candidates = [*corpora.tested.get(code, ()), *utterances]
        chosen += islice(_unleaked(candidates, given_away, 4 * most), most)
    return chosen


def _unleaked(
    utterances: Sequence[Utterance], given_away: set[str], looked_at: int
) -> Iterable[Utterance]:
    texts = {u.id: romanized(u) for u in utterances[:looked_at]}
    leaked = find_leaks(texts, given_away)
    return (u for u in utterances[:looked_at] if u.id not in leaked and texts[u.id])


def romanized(utterance: Utterance) -> str:
    """The reference as it is scored: default normaliser, uroman."""
    return VOCABULARY.transcript(utterance.text, utterance.lang)


def _describe(utterances: Sequence[Utterance], plan: dict[str, Any]) -> dict[str, Any]:
    """Per language and in order: ids, reference lengths in characters and words, single words or not."""
    described: dict[str, Any] = {}
    for u in utterances:
        text = romanized(u)
        entry = described.setdefault(u.lang, {"ids": [], "chars": [], "words": [], "primary": []})
        entry["ids"].append(u.id)
        entry["chars"].append(character_errors([text], [""])[0].length)
        entry["words"].append(word_errors([text], [""])[0].length)
        single = any(name in (u.source or "") for name in plan["single_words"])
        entry["primary"].append(int(not single))
    return described
