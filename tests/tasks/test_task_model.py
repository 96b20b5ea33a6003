"""A task model over a tiny text encoder: what learns, what stays, saving, batches of one language."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from madg_speech.checkpoint import ModelConfig
from madg_speech.config.backbone import BackboneConfig
from madg_speech.config.files import load_config
from madg_speech.config.source import SourceConfig
from madg_speech.data.annotate import annotate, score
from madg_speech.data.sentence import Sentence
from madg_speech.data.turns import Turns
from madg_speech.errors import CheckpointError, ConfigError
from madg_speech.metrics.parsing import Tree
from madg_speech.sources import build_source
from madg_speech.tasks.conditions import Condition
from madg_speech.tasks.labels import INVENTORIES, Task
from madg_speech.tasks.model import TaskConfig, TaskModel, read_task_config
from madg_speech.tasks.tagging import pad_labels
from madg_speech.text_model import TextModel
from madg_speech.training.tasks import TaskRunConfig
from tests.tiny import text_folder

RECIPES = Path(__file__).parent.parent.parent / "recipes"
WORDS = [("the", "cat", "sat"), ("mat",), ("on", "the", "mat", "cat")]
TREES = [
    Tree(WORDS[0], (2, 3, 0), ("det", "nsubj", "root")),
    Tree(WORDS[1], (0,), ("root",)),
    Tree(WORDS[2], (3, 3, 0, 3), ("case", "det", "root", "nmod:poss")),
]


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> TextModel:
    folder = text_folder(tmp_path_factory.mktemp("bert"))
    bare = TextModel.from_backbone(str(folder))
    kind = SourceConfig(kind="madg-ls", layers=(2, 3), bottleneck=4, embedding_size=8)
    spec = ModelConfig(
        objective="mlm",
        backbone=BackboneConfig(name=str(folder)),
        hidden_size=32,
        layers=4,
        source=kind,
        languages=("eng", "fin", "wol"),
    )
    source = build_source(kind, 32, 4, spec.languages)
    assert source is not None
    for parameter in source.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return TextModel(bare.backbone, source, spec).eval()


def build(language: TextModel, task: Task) -> TaskModel:
    torch.manual_seed(0)
    spec = TaskConfig(task=task, labels=INVENTORIES[task], bottleneck=4, layers=(2, 3))
    return TaskModel(language, spec)


@pytest.mark.parametrize("task", ["pos", "parse"])
def test_adapter_and_head_learn_and_nothing_else_moves(language: TextModel, task: Task) -> None:
    model = build(language, task).train()
    before = {name: value.clone() for name, value in language.state_dict().items()}
    tags = [("DET", "NOUN", "VERB"), ("NOUN",), ("ADP", "DET", "NOUN", "NOUN")]
    gold = TREES if task == "parse" else tags
    labels = pad_labels([model.head.encode(each) for each in gold])  # type: ignore[arg-type]
    adam = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.02)
    for _ in range(80):
        adam.zero_grad()
        model(WORDS, ["eng", "wol", "fin"], labels)["loss"].backward()
        adam.step()
    assert all(torch.equal(value, before[name]) for name, value in language.state_dict().items())
    assert model.adapter.up.abs().sum() > 0
    answers = model.eval().predict(WORDS, ["eng", "wol", "fin"])
    if task == "pos":
        assert [answer["tags"] for answer in answers] == tags
    else:
        assert [answer["heads"] for answer in answers] == [tree.heads for tree in TREES]
        assert answers[2]["relations"] == ("case", "det", "root", "nmod")


def test_a_saved_task_answers_alike_and_carries_its_language_adapters(
    language: TextModel, tmp_path: Path
) -> None:
    model = build(language, "pos").eval()
    torch.nn.init.normal_(model.adapter.up)
    model.save_pretrained(tmp_path / "task")
    loaded = TaskModel.from_pretrained(tmp_path / "task")
    states, _ = model.encode(WORDS, ["wol"] * 3)
    assert torch.equal(states, loaded.encode(WORDS, ["wol"] * 3)[0])
    assert not torch.allclose(states, loaded.encode(WORDS, ["fin"] * 3)[0])
    with pytest.raises(CheckpointError, match="checkpoint of language adapters"):
        read_task_config(tmp_path / "task" / "language")


def test_rules_for_language_adapters(language: TextModel) -> None:
    assert Condition("generated", language).code("yor") == "yor"
    assert Condition("none", language).code("yor") is None
    assert Condition("nearest", language).code("eng") in ("fin", "wol")
    assert Condition("en", language).code("yor") == "eng"
    mean = Condition("mean", language)
    assert mean.code("yor") == "yor" and mean.weights("yor") is not None
    bare = TextModel(language.backbone, None, language.spec)
    with pytest.raises(ConfigError, match="no language adapters"):
        Condition("generated", bare)


def test_annotated_sentences_keep_their_order_and_are_scored(language: TextModel) -> None:
    model = build(language, "parse").eval()
    sentences = [Sentence("x:1", tree.words, None, tree) for tree in TREES]
    answers = annotate(model, sentences, "wol", words_per_batch=4)
    assert [answer.words for answer in answers] == WORDS
    together = annotate(model, sentences, "wol")
    assert [a.tree for a in answers] == [a.tree for a in together]
    assert score("parse", sentences[1], answers[1])["las"].score == 1


def test_turns_are_of_one_language_drawn_uniformly() -> None:
    languages = ["eng"] * 90 + ["wol"] * 10
    lengths = list(range(100))
    plan = Turns(languages, lengths, batches=400, sentences=5, seed=1)
    drawn = Counter()
    for batch in plan:
        (language,) = {languages[row] for row in batch}
        drawn[language] += 1
    assert 160 < drawn["wol"] < 240
    assert list(plan) == list(plan)
    wolof = [row for batch in plan if languages[batch[0]] == "wol" for row in batch]
    assert sorted(wolof[:10]) == list(range(90, 100))
    english = [sorted(batch) for batch in plan if languages[batch[0]] == "eng"]
    assert (
        len({row for batch in english[:16] for row in batch}) == 80
    )  # each once, before any twice
    assert all(len(set(batch)) == 5 for batch in english[:16])
    assert np.mean([batch[-1] - batch[0] for batch in english]) < 20  # of like length


@pytest.mark.parametrize("name", ["ud_pos", "ud_parsing", "masakhaner"])
def test_recipes_parse(name: str) -> None:
    config = load_config(RECIPES / name / "config.yaml", TaskRunConfig)
    assert config.data.sources and f'tasks.sh" {name} ' in (RECIPES / name / "run.sh").read_text()
