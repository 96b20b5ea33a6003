"""Adapters learned through Whisper's frozen decoder: loss, batches, training, checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from madg_speech.backbones.mel import LogMel, PaddedLogMel
from madg_speech.checkpoint import read_model_config
from madg_speech.config.files import load_config
from madg_speech.config.speech import PretrainConfig
from madg_speech.data.collate import TeacherCollator
from madg_speech.errors import CheckpointError, ConfigError
from madg_speech.model import AdaptedModel
from madg_speech.objectives.seq2seq import Seq2Seq, seq2seq_loss, seq2seq_scores
from madg_speech.training.pretrain import pretrain
from madg_speech.training.speech_trainer import SpeechTrainer
from tests.conftest import build_model
from tests.seq2seq import WAVES, adapted_whisper, batch
from tests.speech import write_corpus
from tests.tiny import speech_folder, whole_whisper_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whole_whisper_folder(tmp_path_factory.mktemp("whole"))


def split(given: dict[str, Any]) -> tuple[dict[str, Any], torch.Tensor]:
    labels = given.pop("labels")
    return given, labels


def test_windows_are_padded_with_silence() -> None:
    features, lengths = PaddedLogMel()(list(WAVES))
    assert features.shape == (3, 80, 3000) and lengths.tolist() == [3000] * 3
    own, frames = LogMel()(list(WAVES))
    for row, length in enumerate(frames.tolist()):
        torch.testing.assert_close(features[row, :, :length], own[row, :, :length])
        # the floor: 8 below the peak in log10, as Whisper scales it
        assert features[row, :, length + 2 :].unique().numel() == 1
    assert PaddedLogMel().frames(16000) == 1500 and PaddedLogMel().spoken(16000) == 50
    with pytest.raises(ValueError, match=r"window takes 1 s"):
        PaddedLogMel(window=50)([WAVES[0]])


def test_adapters_leave_padding_as_it_is(folder: Path) -> None:
    model = adapted_whisper(folder)
    hidden, spoken = model.hear(WAVES)
    seen = []
    top = model.backbone.layers[model.prefix_layers]
    handle = top.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        model.encode(hidden, spoken, ["swh", "yor", "fin"])
        model.encode(hidden, spoken, [None] * 3)
    handle.remove()
    adapted, plain = seen
    for row, frames in enumerate(spoken.tolist()):
        assert torch.equal(adapted[row, frames:], plain[row, frames:])
        assert (adapted[row, :frames] != plain[row, :frames]).any(-1).all()


def test_a_mixed_batch_equals_each_language_alone(folder: Path) -> None:
    model = adapted_whisper(folder)
    languages = ["swh", "yor", "zul"]
    inputs, _ = split(batch(model, ["bado kuku", "aba", "oko"], languages))
    with torch.no_grad():
        together = model(**inputs)["logits"]
        for row, language in enumerate(languages):
            alone = {k: v[row : row + 1] for k, v in inputs.items() if k != "languages"}
            one = model(**alone, languages=[language])["logits"]
            torch.testing.assert_close(together[row : row + 1], one, rtol=1e-4, atol=1e-4)
    hidden, spoken = model.hear(WAVES)
    written = model.write(hidden, spoken, languages, languages)
    for row, language in enumerate(languages):
        few = model.hear(WAVES[row : row + 1])
        (one,) = model.write(*few, [language], [language])
        assert one.tokens == written[row].tokens
        assert one.score == pytest.approx(written[row].score, abs=1e-4)


def test_loss_by_hand() -> None:
    logits = torch.zeros(2, 3, 4)
    logits[0, 0, 1] = torch.tensor(3.0).log()  # 3 of 3 + 1 + 1 + 1
    labels = torch.tensor([[1, 2, -100], [0, -100, -100]])
    total = -torch.log(torch.tensor(3 / 6)) + 2 * torch.tensor(4.0).log()
    torch.testing.assert_close(seq2seq_loss({"logits": logits}, labels), total / 3)
    torch.testing.assert_close(seq2seq_loss({"logits": logits}, labels, 10), total / 10)


def test_loss_falls_and_nothing_frozen_changes(folder: Path) -> None:
    model = adapted_whisper(folder, "static").train()
    torch.manual_seed(0)
    frozen = {
        name: value.clone()
        for name, value in model.state_dict().items()
        if not name.startswith("source.")
    }
    inputs, labels = split(batch(model, ["bado", "aba", "oko"], ["swh", "yor", "deu"]))
    trained = [p for p in model.parameters() if p.requires_grad]
    assert {id(p) for p in trained} == {id(p) for p in model.source.parameters()}
    optimizer = torch.optim.AdamW(trained, 1e-2)
    losses = []
    for _ in range(12):
        loss = seq2seq_loss(model(**inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.3
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in frozen.items())
    assert set(model.trainable_state()) == {
        f"source.{n}" for n, _ in model.source.named_parameters()
    }


def settings(folder: Path, root: Path, **changes: Any) -> dict[str, Any]:
    """A run on Swahili (a token of its own) and Yoruba (a mixture)."""
    if not (root / "train").exists():
        write_corpus(root / "train", ("swh", "yor"), copies=1)
        write_corpus(root / "dev", ("deu",), copies=1)
    given: dict[str, Any] = {
        "objective": "seq2seq",
        "seq2seq": {"temperature": 0.2},
        "backbone": {"name": str(folder)},
        "source": {"kind": "two-stage", "bottleneck": 4, "embedding_size": 4},
        "data": {"train": [str(root / "train/m.jsonl")], "dev": [str(root / "dev/m.jsonl")]},
        "training": {
            "steps": 8,
            "seconds_per_batch": 12,
            "warmup_steps": 1,
            "eval_every": 2,
            "learning_rate": 1e-2,
            "mask_time": 0.2,
        },
    }
    given["training"] |= changes.pop("training", {})
    return given | changes


def run(given: dict[str, Any], output: Path, resume: bool = False) -> Path:
    config = PretrainConfig.model_validate(given | {"output": str(output)})
    return pretrain(config, Path("/"), device="cpu", resume=resume)


def test_pretrain_writes_a_checkpoint_that_loads(folder: Path, tmp_path: Path) -> None:
    checkpoint = run(settings(folder, tmp_path), tmp_path / "run")
    spec = read_model_config(checkpoint)
    assert spec.objective == "seq2seq" and spec.seq2seq and spec.seq2seq.temperature == 0.2
    assert not (checkpoint / "vocab.json").exists()
    assert all(n.startswith("source.") for n in load_file(checkpoint / "model.safetensors"))
    card = (checkpoint / "README.md").read_text()
    assert "frozen text decoder" in card and "nats a token" in card
    model = Seq2Seq.from_pretrained(checkpoint)
    assert model.decoder.temperature == 0.2 and model.card == card
    assert Seq2Seq.from_pretrained(checkpoint, temperature=0.7).decoder.temperature == 0.7
    model.save_pretrained(tmp_path / "again")
    assert load_file(tmp_path / "again/model.safetensors").keys() == model.trainable_state().keys()
    with pytest.raises(CheckpointError, match="--decoder whisper"):
        AdaptedModel.from_pretrained(checkpoint)
    logged = json.loads((tmp_path / "run/checkpoint-8/trainer_state.json").read_text())[
        "log_history"
    ]
    scores = [entry["eval_token_loss"] for entry in logged if "eval_token_loss" in entry]
    assert len(scores) == 4 and min(scores[1:]) < scores[0]


def test_the_cache_changes_nothing_but_the_last_digits(folder: Path, tmp_path: Path) -> None:
    few: dict[str, Any] = {"steps": 3, "mask_time": 0.0}
    cached, plain = (
        load_file(
            run(settings(folder, tmp_path, training=few | {"cache_prefix": on}), tmp_path / str(on))
            / "model.safetensors"
        )
        for on in (True, False)
    )
    for name, value in cached.items():
        torch.testing.assert_close(value, plain[name], rtol=0, atol=5e-3, msg=name)


def test_killed_and_resumed_ends_the_same(folder: Path, tmp_path: Path) -> None:
    given = settings(folder, tmp_path)
    whole = run(given, tmp_path / "whole")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    step = SpeechTrainer.training_step
    taken = []

    def some(self: Any, *inputs: Any) -> torch.Tensor:
        taken.append(1)
        return step(self, *inputs) if len(taken) < 6 else die()  # type: ignore[return-value]

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(SpeechTrainer, "training_step", some)
        run(given, tmp_path / "cut")
    resumed = run(given, tmp_path / "cut", resume=True)
    ours, theirs = (load_file(one / "model.safetensors") for one in (resumed, whole))
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=1e-6, msg=name)


def test_scores_are_the_loss_of_each_language(folder: Path, tmp_path: Path) -> None:
    model = adapted_whisper(folder)
    tokens = model.decoder.tokens
    write_corpus(tmp_path / "c", ("swh", "yor"), copies=1)
    lines = [json.loads(line) for line in (tmp_path / "c/m.jsonl").read_text().splitlines()]
    rows = [
        line
        | {"audio": str(tmp_path / "c" / line["audio"])}
        | {"labels": tokens.encode(tokens.transcripts([line["text"]], ["swh"])[0])}
        for line in lines
    ]
    collator = TeacherCollator(model.front_end)

    class Table(list):  # type: ignore[type-arg]
        def __getitem__(self, key: Any) -> Any:
            return [r[key] for r in rows] if isinstance(key, str) else super().__getitem__(key)

    scores = seq2seq_scores(model, Table(rows), collator, 3)["token_loss"]
    for language in ("swh", "yor"):
        inputs, labels = split(collator([row for row in rows if row["lang"] == language]))
        with torch.no_grad():
            expected = float(seq2seq_loss(model(**inputs), labels))
        assert scores[language] == pytest.approx(expected, abs=1e-4)


def test_adapters_of_a_ctc_checkpoint_are_used_and_its_head_is_not(
    folder: Path, tmp_path: Path
) -> None:
    ctc = build_model(folder, kind="madg-ls", layer_embedding_size=4)
    ctc.spec = ctc.spec.model_copy(update={"expected_cer": {"trained": 0.1}})
    ctc.save_pretrained(tmp_path / "ctc")
    model = Seq2Seq.from_pretrained(tmp_path / "ctc")
    assert model.spec.expected_cer == {} and model.decoder.temperature == 0.05
    for name, value in model.source(["yor"]).tensors.items():
        assert torch.equal(value, ctc.source(["yor"]).tensors[name])


def test_long_and_empty_texts_are_left_out_and_named(folder: Path, tmp_path: Path) -> None:
    given = settings(folder, tmp_path, training={"steps": 1})
    manifest = tmp_path / "train/m.jsonl"
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    lines[0]["text"] = "a" * 400
    manifest.write_text("\n".join(map(json.dumps, lines)))
    run(given, tmp_path / "run")
    (left,) = (tmp_path / "run/left_out.jsonl").read_text().splitlines()
    assert json.loads(left)["reason"] == "with more than 224 tokens of text"


def test_what_does_not_go_together(folder: Path, tmp_path: Path) -> None:
    for change, said in (
        ({"source": {"kind": "none"}}, "trains adapters"),
        ({"training": {"cache_prefix": False, "augment": {"telephone": 0.5}}}, "augment out"),
    ):
        with pytest.raises(ValueError, match=said):
            run(settings(folder, tmp_path) | change, tmp_path / "x")
    waveforms = speech_folder(tmp_path / "xls-r", "xls-r")
    with pytest.raises(ConfigError, match="only Whisper has"):
        run(settings(folder, tmp_path, backbone={"name": str(waveforms)}), tmp_path / "y")
    recipe = Path(__file__).parents[2] / "recipes/default/seq2seq.yaml"
    assert load_config(recipe, PretrainConfig).objective == "seq2seq"
