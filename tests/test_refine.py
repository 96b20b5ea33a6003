import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from madg_speech.adapters import AdapterWeights
from madg_speech.cli import app
from madg_speech.errors import ConfigError, DataError, UnknownLanguageError
from madg_speech.model import AdaptedModel
from madg_speech.training.minutes import load_minutes
from madg_speech.training.refine import RefineConfig, refine
from madg_speech.training.refinement import Refined
from madg_speech.training.starts import starting_source
from tests.conftest import build_model
from tests.speech import write_corpus


def checkpoint_of(backbone: Path, folder: Path, kind: str) -> Path:
    model = build_model(backbone, kind=kind, layer_embedding_size=4, bottleneck=16)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def checkpoint(tiny_whisper: Path, tmp_path: Path) -> Path:
    return checkpoint_of(tiny_whisper, tmp_path / "checkpoint", "two-stage")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "speech", ("swh",), copies=1)


def run(checkpoint: Path, manifest: Path, output: Path, **over: object) -> Refined:
    settings = {"language": "swh", "steps": 3, "dev": str(manifest)} | over
    config = RefineConfig(checkpoint=str(checkpoint), manifests=(str(manifest),), **settings)
    return refine(config, output, device="cpu")


def test_an_adapter_is_tuned_and_only_it(checkpoint: Path, manifest: Path, tmp_path: Path) -> None:
    output = tmp_path / "swh"
    dev = write_corpus(tmp_path / "dev", ("swh",), copies=2)  # the same words in other noise
    dev.write_text("".join(dev.read_text().splitlines(keepends=True)[4:]))
    before = (checkpoint / "model.safetensors").read_bytes()
    arguments = ["refine", "--lang", "Swahili", "--manifest", str(manifest), "-o", str(output)]
    options = ["--checkpoint", str(checkpoint), "--steps", "100", "--dev", str(dev)]
    result = CliRunner().invoke(app, [*arguments, *options, "--learning-rate", "0.01"])
    assert result.exit_code == 0, result.output
    assert (checkpoint / "model.safetensors").read_bytes() == before
    facts = json.loads((output / "adapter.json").read_text())
    assert set(facts) == {
        "checkpoint", "language", "tune", "start", "minutes", "objective", "metric", "dev_cer_before",
        "dev_cer_after",
    }  # fmt: skip
    assert (facts["language"], facts["tune"], facts["start"]) == ("swh", "adapter", "generated")
    assert facts["dev_cer_after"] < facts["dev_cer_before"]
    weights, languages = AdapterWeights.load(output / "adapter.safetensors")
    model = AdaptedModel.from_pretrained(checkpoint)
    assert languages == ["swh"]
    assert weights.shape == model.source.shape
    assert not torch.equal(weights.up, model.source(["swh"]).up)


def test_the_start_is_kept_where_nothing_beats_it(
    checkpoint: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([{"swh": 0.1}, {"swh": 0.9}, {"swh": 0.9}])  # start, step 3, best
    monkeypatch.setattr("madg_speech.training.objective.dev_error_rates", lambda *_: next(scores))
    refined = run(checkpoint, manifest, tmp_path / "out", dev=None)
    weights, _ = AdapterWeights.load(tmp_path / "out" / "adapter.safetensors")
    assert refined.after == refined.before == 0.1
    generated = AdaptedModel.from_pretrained(checkpoint).source(["swh"])
    torch.testing.assert_close(weights.down, generated.down)


@pytest.mark.parametrize("kind", ["two-stage", "madg", "madg-ls", "static"])
def test_starts(tiny_whisper: Path, kind: str) -> None:
    model = build_model(tiny_whisper, kind=kind, layer_embedding_size=4)
    starts = {
        start: starting_source(model, "hau", "adapter", start)(["hau"])
        for start in ("generated", "static", "random")
    }
    torch.testing.assert_close(starts["generated"].down, model.source(["hau"]).down)
    assert not torch.equal(starts["random"].down, starts["static"].down)
    assert not starts["random"].up.any()
    if kind == "static":
        torch.testing.assert_close(starts["static"].up, starts["generated"].up)
        with pytest.raises(ConfigError, match="no λ"):
            starting_source(model, "hau", "lambda", "generated")
        return
    if kind == "two-stage":
        torch.testing.assert_close(starts["static"].up[0], model.source.static.up)
    else:
        vectors = model.source.typology.vectors(model.spec.languages)
        mean = model.source.embed(torch.from_numpy(vectors).mean(0, keepdim=True))
        torch.testing.assert_close(starts["static"].up, model.source.generate(mean).up)
    for start in ("generated", "static"):
        free = starting_source(model, "hau", "lambda", start)
        torch.testing.assert_close(free(["hau"]).up, starts[start].up)
        assert [p.numel() for p in free.parameters() if p.requires_grad] == [8]


def test_a_language_without_vector_comes_in_through_lambda(
    checkpoint: Path, tmp_path: Path
) -> None:
    manifest = write_corpus(tmp_path / "speech", ("swh",), copies=1)
    manifest.write_text(manifest.read_text().replace('"swh"', '"qaa"'))
    with pytest.raises(UnknownLanguageError, match="--tune lambda"):
        run(checkpoint, manifest, tmp_path / "a", language="qaa")
    with pytest.raises(UnknownLanguageError, match="unknown language"):
        run(checkpoint, manifest, tmp_path / "b", language="zzy", tune="lambda")
    dev = write_corpus(tmp_path / "dev", ("yor",), copies=1)
    dev.write_text(dev.read_text().replace('"yor"', '"qaa"'))
    run(checkpoint, manifest, tmp_path / "c", language="qaa", tune="lambda", dev=str(dev))
    facts = json.loads((tmp_path / "c" / "adapter.json").read_text())
    assert (facts["start"], facts["tune"]) == ("static", "lambda")


def test_held_out_sentences_are_fixed_and_disjoint(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_corpus(tmp_path / "speech", ("swh", "yor"), copies=3)
    model = AdaptedModel.from_pretrained(checkpoint)

    def split(path: Path) -> tuple[set[str], set[str]]:
        train, dev = load_minutes([str(path)], None, "swh", model.vocabulary, model.backbone)
        assert len(train.left_out["in other languages"]) == 12
        return set(train.table["text"]), set(dev.table["text"])

    train, dev = split(manifest)
    assert train and dev and not train & dev
    assert "held out" in capsys.readouterr().err
    manifest.write_text("".join(reversed(manifest.read_text().splitlines(keepends=True))))
    assert split(manifest) == (train, dev)


def test_too_little_data_is_named(checkpoint: Path, manifest: Path, tmp_path: Path) -> None:
    one = manifest.read_text().splitlines()[0]
    manifest.write_text(one)
    with pytest.raises(DataError, match="1 utterances with 1 distinct text"):
        run(checkpoint, manifest, tmp_path / "a", dev=None)
    with pytest.raises(DataError, match="both --manifest and --dev"):
        run(checkpoint, manifest, tmp_path / "b")
    with pytest.raises(DataError, match="no usable utterance in yor: the manifest has swh"):
        run(checkpoint, manifest, tmp_path / "c", language="yor")
