"""Task checkpoints on every language of a folder: predictions, scores and groups, language by language.

``<system>/<iso>.json`` holds the counts of each sentence, beside the predictions as CoNLL-U or tagged
text; a language whose file is there is not done again. A system is a task checkpoint with a rule for
the language adapters: every row of Ansell et al. 2021 is one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from madg_speech.cache import atomic_path
from madg_speech.data.annotate import METRICS, annotate, name_long, score
from madg_speech.data.conllu import write_conllu
from madg_speech.data.sentences import Split, read_split
from madg_speech.data.tagged import write_tagged
from madg_speech.data.text_prefix import know_sentences
from madg_speech.errors import ConfigError, UnknownLanguageError
from madg_speech.evaluation.systems import checkpoint_hash
from madg_speech.progress import progress
from madg_speech.tasks.conditions import Condition
from madg_speech.tasks.model import LANGUAGE, TaskModel
from madg_speech.training.progress import say

DESCRIPTION = "system.json"


@dataclass(frozen=True)
class TaskSystem:
    """A task checkpoint and a rule for its language adapters.

    Attributes:
        name: what files and tables call it.
        model: in evaluation mode, on its device.
        folder: where the model was loaded from.
        condition: whose language adapter a sentence gets.
    """

    name: str
    model: TaskModel
    folder: Path
    condition: Condition

    def describe(self) -> dict[str, Any]:
        """What made its predictions, as JSON: those of another description are not gone on with."""
        spec, language = self.model.spec, self.model.language.spec
        return {
            "task": spec.task,
            "checkpoint": self.folder.name,
            "sha256": checkpoint_hash(self.folder),
            "language_sha256": checkpoint_hash(self.folder / LANGUAGE),
            "learned_under": spec.adapter_from,
            "adapter_from": self.condition.name,
            "sources": list(spec.sources),
            "language_source": language.source.kind,
            "adapters_trained": list(language.languages),
            "backbone": language.backbone.name,
        }


def load_systems(
    checkpoint: Path, conditions: Sequence[str], device: str | None = None
) -> list[TaskSystem]:
    """One model, a system for each rule; the rule under which it was learned where none is given.

    Raises:
        CheckpointError, BackboneError, ConfigError, UnknownLanguageError: as their names say.
    """
    model = TaskModel.from_pretrained(checkpoint)
    if device:
        model.to(device)
    resolved = checkpoint.resolve()
    label = resolved.parent.name if resolved.name == "checkpoint" else resolved.name
    systems = []
    for name in conditions or [model.spec.adapter_from]:
        condition = Condition(name, model.language)
        shown = condition.name.replace("refined:", "refined-").replace("/", "-")
        systems.append(TaskSystem(f"{label}.{shown}", model, checkpoint, condition))
    return systems


def run_zero_shot(
    systems: Sequence[TaskSystem],
    data: Path,
    output: Path,
    split: str = "test",
    languages: Sequence[str] | None = None,
    limit: int | None = None,
    cache_limit_gb: float = 20.0,
) -> None:
    """Predict and score each language of ``data`` with each system, and save as it goes.

    Args:
        systems: all of one task.
        data: ``<iso>/<split>.conllu`` or ``.txt``.
        output: a folder a system.
        split: train, dev or test.
        languages: ISO 639-3; all that there are when None.
        limit: at most so many sentences a language, the first.
        cache_limit_gb: keep what the layers below the lowest adapter make of the sentences, for all
            systems and runs, if that takes no more; 0 computes it anew each time.

    Raises:
        ConfigError: systems of several tasks, or a folder that holds another system's predictions.
        DataError: nothing to score, or a cache that would be larger.
    """
    tasks = {system.model.spec.task for system in systems}
    if len(tasks) != 1:
        raise ConfigError(
            f"checkpoints of several tasks ({', '.join(sorted(tasks))}): give one task"
        )
    read = read_split(data, split, tasks.pop(), languages, limit)
    say(f"{split}: {read.summary()}")
    todo: dict[str, list[str]] = {}
    for system in systems:
        folder = output / system.name
        _open(folder, system, {"data": data.name, "split": split, "limit": limit})
        for iso in sorted(read.problems.keys() - read.sentences.keys()):
            failed = {"failed": "no usable sentence", "left_out": _left_out(read, iso)}
            _write(folder / f"{iso}.json", {"language": iso} | failed)
        todo[system.name] = [
            iso
            for iso in read.sentences
            if system.condition.covers(iso) and not (folder / f"{iso}.json").is_file()
        ]
    if cache_limit_gb:
        _cache(systems, todo, read, cache_limit_gb)
    for system in systems:
        total = sum(len(read.sentences[iso]) for iso in todo[system.name])
        with progress(system.name, total) as advance:
            for iso in todo[system.name]:
                _run_language(system, iso, read, output / system.name, advance)


def _cache(
    systems: Sequence[TaskSystem], todo: dict[str, list[str]], read: Split, limit_gb: float
) -> None:
    for model in {id(system.model): system.model for system in systems}.values():
        asked = {iso for s in systems if s.model is model for iso in todo[s.name]}
        words = [s.words for iso in sorted(asked) for s in read.sentences[iso]]
        know_sentences(model, words, limit_gb, "raise --cache-limit-gb, or give 0 for no cache")


def _open(folder: Path, system: TaskSystem, what: dict[str, Any]) -> None:
    described = system.describe() | what
    path = folder / DESCRIPTION
    if not path.is_file():
        with atomic_path(path) as draft:
            draft.write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    if changed := sorted(key for key in described if described[key] != before.get(key)):
        raise ConfigError(
            f"{folder} holds predictions of another {', '.join(changed)}: remove it, or choose another "
            "output"
        )


def _run_language(system: TaskSystem, iso: str, read: Split, folder: Path, advance: Any) -> None:
    sentences, task = read.sentences[iso], system.model.spec.task
    try:
        code = system.condition.code(iso)
        predicted = annotate(system.model, sentences, code, system.condition.weights(iso), advance)
    except UnknownLanguageError as error:  # the source has nothing for it: named, not scored
        _write(folder / f"{iso}.json", {"language": iso, "failed": str(error)})
        advance(len(sentences))
        return
    tallies = [score(task, a, b) for a, b in zip(sentences, predicted, strict=True)]
    write, suffix = (write_conllu, "conllu") if task == "parse" else (write_tagged, "txt")
    with atomic_path(folder / f"{iso}.{suffix}") as draft:
        draft.write_text("".join(map(write, predicted)), encoding="utf-8")
    split_up, cut = name_long(system.model, sentences)
    content: dict[str, Any] = {
        "language": iso,
        "adapter": code,
        "sentences": len(sentences),
        "words": sum(len(sentence.words) for sentence in sentences),
        "telling": sum(task != "ner" or set(s.tags or ()) != {"O"} for s in sentences),
        "counts": {
            metric: {
                "errors": [tally[metric].errors for tally in tallies],
                "lengths": [tally[metric].length for tally in tallies],
            }
            for metric in METRICS[task]
        },
        "read_in_windows": [_shorten(place) for place in split_up],
        "words_cut": [f"{_shorten(place)}: {word[:40]}..." for place, word in cut],
        "left_out": _left_out(read, iso),
    }
    _write(folder / f"{iso}.json", content)


def _left_out(read: Split, iso: str) -> list[str]:
    return [f"{_shorten(p.where)}: {p.reason}" for p in read.problems.get(iso, ())]


def _shorten(place: str) -> str:
    """Language folder, file and line: where the data lies on this machine is nobody's business."""
    return "/".join(place.split("/")[-2:])


def _write(path: Path, content: dict[str, Any]) -> None:
    with atomic_path(path) as draft:
        draft.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
