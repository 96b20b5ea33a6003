from pathlib import Path

import numpy as np
import pytest
import torch

from madg_speech.audio import load_audio
from madg_speech.data.corpus import audio_hash
from madg_speech.data.prefix_cache import PrefixCache
from madg_speech.errors import AudioError, DataError
from madg_speech.model import AdaptedModel
from tests.speech import write_corpus


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    write_corpus(tmp_path)
    return {audio_hash(path): path for path in sorted(tmp_path.glob("*.wav"))}


def fill(model: AdaptedModel, files: dict[str, Path], limit_gb: float = 1.0) -> PrefixCache:
    cache = PrefixCache(model)
    seconds = {
        key: load_audio(path).size / 16000
        for key, path in files.items()
        if path.stat().st_size > 99
    }
    cache.fill(
        model, files, {key: seconds.get(key, 1.0) for key in files}, limit_gb, seconds_per_batch=3
    )
    return cache


@pytest.fixture(autouse=True)
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MADG_CACHE", str(tmp_path / "cache"))


def test_cached_states_are_the_prefix_s_own(model: AdaptedModel, files: dict[str, Path]) -> None:
    cache = fill(model, files)
    for key, path in list(files.items())[:3]:
        hidden, _ = model.prefix(*model.backbone.features([load_audio(path)]))
        np.testing.assert_allclose(cache[key], hidden[0].numpy(), atol=5e-3, rtol=5e-3)


def test_nothing_is_computed_twice_and_runs_share(
    model: AdaptedModel, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    half = dict(list(files.items())[:7])
    fill(model, half)
    asked: list[int] = []
    prefix = model.prefix
    monkeypatch.setattr(model, "prefix", lambda f, n: asked.append(len(f)) or prefix(f, n))
    cache = fill(model, files)
    assert sum(asked) == len(files) - 7
    assert set(cache.index) == set(files)


def test_a_killed_build_goes_on(model: AdaptedModel, files: dict[str, Path]) -> None:
    half = dict(list(files.items())[:5])
    cache = fill(model, half)
    expected = {key: np.array(cache[key]) for key in half}
    with cache.states.open("ab") as states, (cache.folder / "index.jsonl").open("a") as index:
        states.write(b"\0" * 1001)  # states whose index line was never finished
        index.write('\n{"audio": "half a li')
    cache = fill(model, files)
    for key, states_before in expected.items():
        assert np.array_equal(cache[key], states_before)
    reread = PrefixCache(model)
    assert set(reread.index) == set(files)
    for key, path in files.items():
        hidden, _ = model.prefix(*model.backbone.features([load_audio(path)]))
        np.testing.assert_allclose(reread[key], hidden[0].numpy(), atol=5e-3, rtol=5e-3)


def test_another_backbone_has_another_cache(model: AdaptedModel) -> None:
    before = PrefixCache(model).folder
    with torch.no_grad():
        model.backbone.encoder.conv1.bias.add_(1)
    assert PrefixCache(model).folder != before
    with torch.no_grad():
        model.backbone.encoder.conv1.bias.sub_(1)


def test_too_large_is_refused_before_it_starts(model: AdaptedModel, files: dict[str, Path]) -> None:
    with pytest.raises(DataError, match="cache_limit_gb"):
        fill(model, files, limit_gb=1e-6)
    assert not PrefixCache(model).index


def test_a_broken_file_is_named_and_the_rest_is_done(
    model: AdaptedModel, files: dict[str, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    with pytest.raises(AudioError, match=r"1 files .*broken\.wav"):
        fill(model, files | {"0" * 32: broken})
    assert set(PrefixCache(model).index) == set(files)
