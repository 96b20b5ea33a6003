"""Speech and text with one V: which medium a step takes, what is shared, and whole runs."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from typer.testing import CliRunner

from madg_speech.checkpoint import read_weights
from madg_speech.cli import app
from madg_speech.config.files import load_config
from madg_speech.config.joint import JointConfig
from madg_speech.config.speech import PretrainConfig
from madg_speech.data.media import alternate
from madg_speech.errors import CheckpointError, ConfigError
from madg_speech.model import AdaptedModel
from madg_speech.text_model import TextModel
from madg_speech.training.joint import pretrain_joint
from madg_speech.training.joint_trainer import JointTrainer
from madg_speech.training.pretrain import pretrain
from madg_speech.typology import load_typology
from tests.speech import write_corpus
from tests.test_mlm import SENTENCES
from tests.tiny import text_folder

SOURCE = {"kind": "two-stage", "bottleneck": 8, "embedding_size": 4}
SHARED = ("source.embed.weight", "source.mean")
Values = dict[str, object]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_folder(tmp_path_factory.mktemp("bert"), head=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Swahili and Yoruba spoken, these and English written; German and Wolof of dev alone."""
    folder = tmp_path_factory.mktemp("data")
    write_corpus(folder / "train")
    write_corpus(folder / "dev", ("deu",), copies=1)
    for code, sentences in SENTENCES.items():
        (folder / f"{code}.txt").write_text("\n".join(sentences) + "\n")
    return folder


@pytest.fixture(scope="module")
def values(tiny_whisper: Path, bert: Path, data: Path) -> Values:
    return {
        "objective": "joint",
        "output": "",
        "speech": {
            "backbone": {"name": str(tiny_whisper)},
            "source": SOURCE,
            "data": {"train": ["train/m.jsonl"], "dev": ["dev/m.jsonl"]},
            "training": {"seconds_per_batch": 6, "learning_rate": 3e-3, "mask_time": 0.2},
        },
        "text": {
            "objective": "mlm",
            "backbone": {"name": str(bert)},
            "source": SOURCE,
            "data": {"text": ["*.txt"], "dev_languages": ["eng"], "dev_per_language": 1},
            "training": {"pieces_per_batch": 64, "learning_rate": 5e-3},
        },
        "training": {"steps": 8, "warmup_steps": 2, "eval_every": 4, "learning_rate": 1e-2},
    }


def merged(values: Values, over: Values) -> Values:
    return values | {
        key: merged(values.get(key, {}), value) if isinstance(value, dict) else value  # type: ignore[arg-type]
        for key, value in over.items()
    }


def train(values: Values, data: Path, output: Path, resume: bool = False) -> Path:
    config = JointConfig.model_validate(values | {"output": str(output)})
    return pretrain_joint(config, data, device="cpu", resume=resume)


@pytest.fixture(scope="module")
def finished(values: Values, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(values, data, tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture
def run(values: Values, data: Path, tmp_path: Path) -> Callable[..., Path]:
    def start(name: str = "run", resume: bool = False, **over: object) -> Path:
        return train(merged(values, over), data, tmp_path / name, resume)

    return start


@given(st.integers(0, 300), st.floats(0, 0.99))
def test_text_is_spread_evenly(steps: int, share: float) -> None:
    media = alternate(steps, share)
    assert len(media) == steps
    for first in range(steps):
        assert abs(media[:first].count("text") - first * share) <= 1


def test_a_half_alternates() -> None:
    assert alternate(4, 0.5) == ["speech", "text", "speech", "text"]


def test_both_losses_reach_the_one_map_and_nothing_else_of_the_other_medium(
    run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: dict[str, set[str]] = {"speech": set(), "text": set()}
    whole = JointTrainer.training_step

    def watch(trainer: JointTrainer, model: torch.nn.Module, inputs: Values, *rest: object):  # type: ignore[no-untyped-def]
        medium = str(inputs["medium"])
        loss = whole(trainer, model, inputs, *rest)
        moved[medium] |= {
            name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()
        }
        return loss

    monkeypatch.setattr(JointTrainer, "training_step", watch)
    certain = {"source": {"vector_dropout": 0}}
    run(speech=certain, text=certain, training={"steps": 4, "warmup_steps": 0})
    both = moved["speech"] & moved["text"]
    assert both == {"speech.source.embed.weight"}
    assert all(name.startswith("speech.") for name in moved["speech"])
    assert all(name.startswith("text.") for name in moved["text"] - both)


def test_the_parts_are_checkpoints_that_agree(finished: Path) -> None:
    folder = finished
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "speech", "text"]
    speech, text = AdaptedModel.from_pretrained(folder), TextModel.from_pretrained(folder)
    stored = {medium: read_weights(folder / medium) for medium in ("speech", "text")}
    for name in SHARED:
        assert torch.equal(stored["speech"][name], stored["text"][name])
    for code in ("swh", "eng", "wol", "fin"):
        assert torch.equal(speech.source.embedding([code]), text.source.embedding([code]))
    assert speech.spec.languages == ("swh", "yor")
    assert text.spec.languages == ("eng", "swh", "yor")
    union = load_typology().vectors(["eng", "swh", "yor"]).mean(0)
    torch.testing.assert_close(stored["text"]["source.mean"], torch.from_numpy(union))
    assert set(speech.spec.expected_cer) == {"unrelated"}  # English is known from text alone
    assert "of 6 s of audio" in speech.card and "4 steps of" in speech.card
    alone = AdaptedModel.from_pretrained(folder / "speech")
    assert torch.equal(alone.head.weight, speech.head.weight)
    with pytest.raises(CheckpointError, match="is a model of speech"):
        TextModel.from_pretrained(folder / "speech")


def test_without_text_speech_is_trained_as_alone(
    run: Callable[..., Path], values: Values, data: Path, tmp_path: Path
) -> None:
    """The text is of the same languages: others would move the mean vector."""
    folder = run(
        text={"data": {"exclude_languages": ["eng"]}},
        training={"text_share": 0.0, "learning_rate": 3e-3, "steps": 4},
    )
    training = {"steps": 4, "warmup_steps": 2, "eval_every": 4}
    plain = merged(values["speech"], {"training": training, "output": str(tmp_path / "plain")})  # type: ignore[arg-type]
    alone = read_weights(pretrain(PretrainConfig.model_validate(plain), data, device="cpu"))
    for name, value in read_weights(folder / "speech").items():
        torch.testing.assert_close(value, alone[name], rtol=0, atol=1e-6, msg=name)


def test_a_resumed_run_ends_where_an_unbroken_one_does(
    run: Callable[..., Path], finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, step = iter(range(7)), JointTrainer.training_step

    def die(*arguments: object) -> torch.Tensor:
        if next(steps) == 6:
            raise KeyboardInterrupt
        return step(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(JointTrainer, "training_step", die)
        run()
    assert not (tmp_path / "run/checkpoint").exists()
    resumed = run(resume=True)
    for medium in ("speech", "text"):
        ours, theirs = read_weights(resumed / medium), read_weights(finished / medium)
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            torch.testing.assert_close(value, theirs[name], rtol=0, atol=1e-6, msg=name)
    state = json.loads((tmp_path / "run/checkpoint-8/trainer_state.json").read_text())
    assert {"eval_cer", "eval_loss"} <= set().union(*state["log_history"])


@pytest.mark.parametrize("name", ["uriel", "lineage+geography"])
def test_vectors_are_permuted_alike_and_over_both(run: Callable[..., Path], name: str) -> None:
    typology = {"name": name, "shuffle": "all", "seed": 2}
    source = {"source": {"typology": typology | {"languages": ["wol"]}}}
    folder = run(speech=source, text={"source": {"typology": typology}}, training={"steps": 2})
    speech, text = AdaptedModel.from_pretrained(folder), TextModel.from_pretrained(folder)
    settled = speech.spec.source.typology
    assert settled == text.spec.source.typology and settled.permutation is not None
    assert settled.permutation.keys() == {"swh", "yor", "eng", "deu", "wol"}
    assert torch.equal(speech.source.embedding(["wol"]), text.source.embedding(["wol"]))


def test_each_medium_has_its_own_rates_and_v_those_of_the_run(run: Callable[..., Path]) -> None:
    def after(**decay: float) -> tuple[Path, dict[str, torch.Tensor]]:
        still = {"learning_rate": 1e-12}
        folder = run(
            f"{decay}",
            speech={"training": still},
            text={"training": {"learning_rate": 1e-2}},
            training={"steps": 2, "warmup_steps": 0, "learning_rate": 1e-3} | decay,
        )
        return folder, read_weights(folder / "speech")

    folder, plain = after(weight_decay=0.0)
    _, decayed = after(weight_decay=100.0)
    # V is decayed in every step (rates 1e-3 and, half way down, 5e-4), but only once in each
    ratio = decayed["source.embed.weight"].norm() / plain["source.embed.weight"].norm()
    assert float(ratio) == pytest.approx(0.9 * 0.95, abs=2e-3)
    torch.testing.assert_close(decayed["source.static.down"], plain["source.static.down"])
    text = read_weights(folder / "text")
    assert float(text["source.static.up"].abs().max()) > 1e-3


def test_media_begin_where_others_ended(
    run: Callable[..., Path], finished: Path, tmp_path: Path
) -> None:
    begun = {"init_from": str(finished), "training": {"learning_rate": 1e-12}}
    still = {"steps": 2, "learning_rate": 1e-12, "seed": 1}
    again = run("again", speech=begun, text=begun, training=still)
    for medium in ("speech", "text"):
        for name, value in read_weights(finished / medium).items():
            torch.testing.assert_close(read_weights(again / medium)[name], value, msg=name)
    v = read_weights(finished / "text")["source.embed.weight"]
    from_text = run("from text", text=begun, training=still)
    frozen = {"init_typology_from": str(finished), "freeze_typology": True}
    from_any = run("from any", training={"steps": 2, "seed": 1}, **frozen)
    for folder in (from_text, from_any):
        torch.testing.assert_close(read_weights(folder / "speech")["source.embed.weight"], v)
    shutil.copytree(finished / "text", other := tmp_path / "other")
    weights = read_weights(other)
    save_file(weights | {"source.embed.weight": v + 1}, other / "model.safetensors")
    with pytest.raises(ConfigError, match=r"speech\.init_from .* and text\.init_from .*other hold"):
        run("two", speech=begun, text={"init_from": str(other)})


def test_speech_alone_takes_v_of_a_joint_run(
    values: Values, data: Path, finished: Path, tmp_path: Path
) -> None:
    asked = merged(
        values["speech"],  # type: ignore[arg-type]
        {
            "init_typology_from": str(finished),
            "freeze_typology": True,
            "training": {"steps": 1},
            "output": str(tmp_path / "alone"),
        },
    )
    alone = read_weights(pretrain(PretrainConfig.model_validate(asked), data, device="cpu"))
    for name in SHARED:
        assert torch.equal(alone[name], read_weights(finished / "speech")[name])


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"text": {"source": {"kind": "madg"}}}, "kind is two-stage in speech.source and madg in"),
        (
            {"speech": {"source": {"embedding_size": 8}}},
            "embedding_size is 8 in speech.source and 4 in text.source",
        ),
        (
            {"text": {"source": {"typology": "syntax"}}},
            "typology.name is uriel in speech.source and syntax in text.source",
        ),
        (
            {"speech": {"source": {"kind": "static"}}, "text": {"source": {"kind": "static"}}},
            "a static source .* has no V to share",
        ),
        ({"speech": {"objective": "best-rq"}}, "speech.objective is best-rq; expected ctc"),
        ({"text": {"init_typology_from": "x"}}, "text.init_typology_from .* at the top level"),
        ({"training": {"text_share": 1.0}}, "training.text_share"),
        ({"speech": {"sauce": 1}}, "'speech.sauce'; did you mean 'speech.source'"),
    ],
)
def test_what_does_not_go_together_is_named(
    values: Values, tmp_path: Path, over: Values, words: str
) -> None:
    file = tmp_path / "joint.yaml"
    file.write_text(yaml.safe_dump(merged(values, over)))
    with pytest.raises(ConfigError, match=words):
        load_config(file, JointConfig)


def test_the_verb_reads_parts_from_files_and_tells_of_both(
    values: Values, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for medium in ("speech", "text"):
        (tmp_path / f"{medium}.yaml").write_text(yaml.safe_dump(values[medium]))
    whole = values | {
        "speech": {"inherit": "speech.yaml", "training": {"seconds_per_batch": 4}},
        "text": {"inherit": ["text.yaml"]},
        "training": {"steps": 2, "eval_every": 2},
        "output": str(tmp_path / "run"),
    }
    (tmp_path / "joint.yaml").write_text(yaml.safe_dump(whole))
    command = ["pretrain", "--config", str(tmp_path / "joint.yaml"), "--data-root", str(data)]
    told = CliRunner().invoke(app, [*command, "--device", "cpu"])
    assert told.exit_code == 0, told.output
    number, said = r"\d+\.\d+", told.output
    assert re.search(rf"loss {number}  speech {number}  text {number}  {number} h audio/h", said)
    assert re.search(rf"dev CER {number}  unrelated {number}  dev loss {number}", said)
    described = json.loads((tmp_path / "run/run.json").read_text())
    assert described["config"]["speech"]["training"]["seconds_per_batch"] == 4
    assert described["data"].keys() == {"speech train", "speech dev", "text train", "text dev"}
