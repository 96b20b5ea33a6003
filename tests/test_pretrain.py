import json
import math
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

from madg_speech.checkpoint import read_weights
from madg_speech.config.speech import PretrainConfig
from madg_speech.errors import CheckpointError, ConfigError, DataError, ManifestError
from madg_speech.model import AdaptedModel
from madg_speech.training.pretrain import pretrain
from madg_speech.training.shrinkage import SCALES
from madg_speech.typology import load_typology
from tests.speech import write_corpus

STILL = {"learning_rate": 1e-12, "steps": 1, "warmup_steps": 0}  # ends where it began


def settings(backbone: Path, manifest: Path, run: Path, **over: object) -> PretrainConfig:
    base: dict[str, object] = {
        "backbone": {"name": str(backbone)},
        "source": {"kind": "static", "bottleneck": 8},
        "data": {"train": [str(manifest)]},
        "output": str(run),
    }
    training = {"steps": 6, "seconds_per_batch": 6, "warmup_steps": 2, "eval_every": 3}
    base["training"] = training | dict(over.pop("training", {}))  # type: ignore[call-overload]
    return PretrainConfig.model_validate(base | over)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "speech")


def run(config: PretrainConfig, resume: bool = False) -> Path:
    return pretrain(config, Path("/"), device="cpu", resume=resume)


def losses(folder: Path) -> list[float]:
    newest = max(folder.glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]))
    history = json.loads((newest / "trainer_state.json").read_text())["log_history"]
    return [entry["loss"] for entry in history if "loss" in entry]


@pytest.mark.parametrize("cached", [True, False])
def test_a_run_learns_and_leaves_a_checkpoint(
    tiny_whisper: Path, manifest: Path, tmp_path: Path, cached: bool
) -> None:
    training = {
        "steps": 60,
        "learning_rate": 1e-2,
        "eval_every": 30,
        "cache_prefix": cached,
        "mask_time": 0,
    }
    config = settings(
        tiny_whisper,
        manifest,
        tmp_path / "run",
        training=training,
        source={"kind": "madg-ls", "bottleneck": 8},
    )
    folder = run(config)
    history = losses(tmp_path / "run")
    assert all(math.isfinite(loss) for loss in history)
    assert history[-1] < 0.8 * history[0]
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "vocab.json",
    ]
    model = AdaptedModel.from_pretrained(folder)
    assert model.spec.languages == ("swh", "yor")
    assert "CC0-1.0" in (folder / "README.md").read_text()
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    assert described["versions"]["torch"] == version("torch")
    assert described["data"]["train"]


def test_two_stages_begin_where_the_static_one_ended(
    tiny_whisper: Path, manifest: Path, tmp_path: Path
) -> None:
    first = run(settings(tiny_whisper, manifest, tmp_path / "one"))
    config = settings(
        tiny_whisper,
        manifest,
        tmp_path / "two",
        source={"kind": "two-stage", "bottleneck": 8, "embedding_size": 4},
        init_from=str(first),
        training=STILL,
    )
    second = run(config)
    before, after = read_weights(first), read_weights(second)
    torch.testing.assert_close(after["source.static.down"], before["source.down"])
    torch.testing.assert_close(after["head.weight"], before["head.weight"])
    with pytest.raises(CheckpointError, match="two-stage source, this run a static one"):
        run(settings(tiny_whisper, manifest, tmp_path / "three", init_from=str(second)))


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ({"kind": "static", "bottleneck": 8}, "source."),
        ({"kind": "two-stage", "bottleneck": 8, "embedding_size": 4}, "source.static."),
    ],
)
def test_what_all_share_begins_at_the_mean_of_what_each_language_has(
    source: dict[str, Any], part: str, tiny_whisper: Path, manifest: Path, tmp_path: Path
) -> None:
    each = {"kind": "per-language", "bottleneck": 8}
    first = run(settings(tiny_whisper, manifest, tmp_path / "one", source=each))
    config = settings(
        tiny_whisper,
        manifest,
        tmp_path / "two",
        source=source,
        init_from=str(first),
        training=STILL,
    )
    rows, shared = read_weights(first), read_weights(run(config))
    assert not torch.equal(rows["source.up"][0], rows["source.up"][1])
    for name in ("down", "up"):
        torch.testing.assert_close(shared[part + name], rows["source." + name].mean(0))
    torch.testing.assert_close(shared["head.weight"], rows["head.weight"])


def test_static_goes_on_from_another_static_run(
    tiny_whisper: Path, manifest: Path, tmp_path: Path
) -> None:
    first = run(settings(tiny_whisper, manifest, tmp_path / "one"))
    longer = settings(
        tiny_whisper,
        manifest,
        tmp_path / "two",
        init_from=str(first),
        training=STILL,
    )
    before, after = read_weights(first), read_weights(run(longer))
    for name, value in before.items():
        torch.testing.assert_close(after[name], value)
    history = json.loads((tmp_path / "two/checkpoint-1/trainer_state.json").read_text())
    assert history["global_step"] == 1  # its own optimiser and schedule, not the first run's


def test_a_shuffled_run_keeps_its_permutation(tiny_whisper: Path, tmp_path: Path) -> None:
    train = write_corpus(tmp_path / "train", ("swh", "yor"))
    dev = write_corpus(tmp_path / "dev", ("deu",))
    typology = {"shuffle": "all", "languages": ["wol"], "seed": 2}
    config = settings(
        tiny_whisper,
        train,
        tmp_path / "run",
        source={"kind": "two-stage", "bottleneck": 8, "typology": typology},
        data={"train": [str(train)], "dev": [str(dev)]},
        training={"steps": 1},
    )
    model = AdaptedModel.from_pretrained(run(config))
    permutation = model.spec.source.typology.permutation
    assert permutation is not None and permutation.keys() == {"swh", "yor", "deu", "wol"}
    given, own = (
        model.source.typology.vectors(["wol"]),
        load_typology().vectors([permutation["wol"]]),
    )
    assert (given == own).all()
    trained = load_typology().vectors([permutation[code] for code in model.spec.languages])
    torch.testing.assert_close(model.source.mean, torch.from_numpy(trained).mean(0))


def test_the_generator_s_own_weight_decay_and_shrinkage(
    tiny_whisper: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, dev = write_corpus(tmp_path / "train"), write_corpus(tmp_path / "dev", ("deu",), 1)

    def state(name: str, decay: float) -> tuple[dict[str, torch.Tensor], Path]:
        config = settings(
            tiny_whisper,
            train,
            tmp_path / name,
            source={"kind": "two-stage", "bottleneck": 8, "shrink": {"rule": "nearest"}},
            data={"train": [str(train)], "dev": [str(dev)]},
            training={
                "steps": 1,
                "warmup_steps": 0,
                "learning_rate": 1e-3,
                "weight_decay": 0,
                "generator_weight_decay": decay,
            },
        )
        folder = run(config)
        return read_weights(folder), folder

    plain, _ = state("plain", 0.0)
    decayed, folder = state("decayed", 100.0)
    torch.testing.assert_close(decayed["source.static.down"], plain["source.static.down"])
    drawn = plain["source.embed.weight"]  # W is zero and passes V no gradient in the first step
    torch.testing.assert_close(decayed["source.embed.weight"], 0.9 * drawn)
    chosen = AdaptedModel.from_pretrained(folder).spec.source.shrink.scale
    assert f"shrink.scale {chosen}" in capsys.readouterr().err
    assert chosen in SCALES


def test_dev_scores_are_grouped_and_stored(tiny_whisper: Path, tmp_path: Path) -> None:
    train = write_corpus(tmp_path / "train", ("swh",))
    dev = write_corpus(tmp_path / "dev", ("deu",))
    config = settings(
        tiny_whisper, train, tmp_path / "run", data={"train": [str(train)], "dev": [str(dev)]}
    )
    folder = run(config)
    model = AdaptedModel.from_pretrained(folder)
    assert set(model.spec.expected_cer) == {"unrelated"}
    assert model.spec.expected_cer["unrelated"] > 0
    assert "| deu |" in (folder / "README.md").read_text()


def test_a_run_folder_is_never_overwritten(
    tiny_whisper: Path, manifest: Path, tmp_path: Path
) -> None:
    config = settings(tiny_whisper, manifest, tmp_path / "run", training={"steps": 1})
    with pytest.raises(ConfigError, match="no run to resume"):
        run(config, resume=True)
    run(config)
    with pytest.raises(ConfigError, match="--resume"):
        run(config)
    other = settings(tiny_whisper, manifest, tmp_path / "run", training={"steps": 2})
    with pytest.raises(ConfigError, match="another training"):
        run(other, resume=True)
    file = tmp_path / "run" / "run.json"
    described = json.loads(file.read_text())
    del described["config"]["objective"]  # begun before there was such a key
    file.write_text(json.dumps(described))
    run(config, resume=True)
    described["config"] = {"language": "swh", "manifests": ["a.jsonl"]}
    file.write_text(json.dumps(described))
    with pytest.raises(ConfigError, match="another configuration"):
        run(config, resume=True)


def test_what_is_left_out_is_counted(tiny_whisper: Path, manifest: Path, tmp_path: Path) -> None:
    lines = manifest.read_text().splitlines()
    silent = json.loads(lines[0]) | {"id": "no-text", "text": "?!"}
    crowded = json.loads(lines[0]) | {"id": "crowded", "text": "a" * 500}
    manifest.write_text("\n".join([*lines, json.dumps(silent), json.dumps(crowded)]))
    run(settings(tiny_whisper, manifest, tmp_path / "run", training={"steps": 1}))
    counted = json.loads((tmp_path / "run" / "run.json").read_text())["left_out"]
    assert counted["train"] == {
        "whose text romanises to nothing": 1,
        "with more text than CTC frames": 1,
    }
    listed = (tmp_path / "run" / "left_out.jsonl").read_text().splitlines()
    assert {
        (entry["id"], entry["reason"], entry["split"]) for entry in map(json.loads, listed)
    } == {
        ("no-text", "whose text romanises to nothing", "train"),
        ("crowded", "with more text than CTC frames", "train"),
    }


def test_a_language_with_one_utterance_is_named_and_trained_on(
    tiny_whisper: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join([*lines[:8], lines[8]]))
    folder = run(settings(tiny_whisper, manifest, tmp_path / "run", training={"steps": 1}))
    assert "with a single utterance: yor" in capsys.readouterr().err
    assert AdaptedModel.from_pretrained(folder).spec.languages == ("swh", "yor")


def test_progress_is_one_readable_line_per_log(
    tiny_whisper: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dev = write_corpus(tmp_path / "dev", ("deu",), copies=1)
    run(
        settings(
            tiny_whisper,
            manifest,
            tmp_path / "run",
            data={"train": [str(manifest)], "dev": [str(dev)]},
        )
    )
    output = capsys.readouterr()
    steps = [line for line in output.err.splitlines() if line.startswith("step ")]
    number = r"\d+\.\d+"
    assert re.fullmatch(rf"step 3/6  loss {number}  {number} h audio/h  0:\d\d:\d\d left", steps[0])
    assert re.fullmatch(rf"step 6/6  dev CER {number}  unrelated {number}  0:00:00 left", steps[-1])
    assert output.out == ""


def test_broken_data_is_named(tiny_whisper: Path, manifest: Path, tmp_path: Path) -> None:
    excluded = {"train": [str(manifest)], "exclude_languages": ["swh", "yor"]}
    with pytest.raises(DataError, match="16 in excluded languages"):
        run(settings(tiny_whisper, manifest, tmp_path / "a", data=excluded))
    with pytest.raises(ManifestError, match="no manifest matches"):
        run(settings(tiny_whisper, tmp_path / "none.jsonl", tmp_path / "b"))
    (manifest.parent / "swh-0.wav").unlink()
    with pytest.raises(ManifestError, match=r"swh-0\.wav"):
        run(settings(tiny_whisper, manifest, tmp_path / "c"))
    same = {"train": [str(manifest)], "dev": [str(manifest)]}
    write_corpus(manifest.parent)
    with pytest.raises(DataError, match="both train and dev"):
        run(settings(tiny_whisper, manifest, tmp_path / "d", data=same))
