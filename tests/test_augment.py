"""What augmentation does to the sound, and that it depends on seed, utterance and draw alone."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from madg_speech.backbones.mel import LogMel
from madg_speech.config.augment import AugmentConfig
from madg_speech.config.data import DataConfig
from madg_speech.config.files import load_config
from madg_speech.config.speech import PretrainConfig
from madg_speech.data.augment import (
    Augmenter,
    Rendition,
    add_noise,
    change_speed,
    mask_bands,
    through_telephone,
)
from madg_speech.data.batches import BatchPlan
from madg_speech.data.collate import Collator
from madg_speech.data.corpus import Corpus, load_corpus
from madg_speech.data.draws import DrawnRows, Draws
from madg_speech.data.prefix_cache import PrefixCache
from madg_speech.errors import ConfigError, DataError
from madg_speech.model import AdaptedModel
from madg_speech.text.vocabulary import Vocabulary, ctc_frames_needed
from madg_speech.training.pretrain import pretrain
from madg_speech.training.run import fill_views
from tests.speech import write_corpus

RATE = 16000
EVERYTHING = AugmentConfig(
    speed=(0.8, 1.25), noise_snr_db=(5, 20), telephone=0.5, spec_augment=True
)


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE).astype(np.float32)


def peak_hertz(waveform: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return float(spectrum.argmax() * RATE / len(waveform))


def level_db(waveform: np.ndarray) -> float:
    middle = waveform[len(waveform) // 4 : -len(waveform) // 4]  # without the filter's onset
    return float(10 * np.log10(np.mean(middle.astype(np.float64) ** 2) + 1e-20))


@settings(deadline=None, max_examples=20)
@given(speed=st.floats(0.5, 2), seconds=st.floats(0.2, 2))
def test_speed_changes_length_and_pitch_alike(speed: float, seconds: float) -> None:
    slow = tone(440, seconds)
    fast = change_speed(slow, speed)
    assert fast.dtype == np.float32
    assert len(fast) == pytest.approx(len(slow) / speed, abs=2)
    assert peak_hertz(fast) == pytest.approx(440 * speed, abs=1.1 * RATE / len(fast))


@pytest.mark.parametrize("snr", [0.0, 10.0, 30.0])
def test_noise_has_the_asked_for_level(snr: float) -> None:
    clean = tone(440, 0.7)
    for seed in range(5):
        noise = add_noise(clean, snr, np.random.default_rng(seed)) - clean
        measured = 10 * np.log10(np.mean(clean**2) / np.mean(noise**2))
        assert measured == pytest.approx(snr, abs=0.05)


def test_a_telephone_carries_its_band_alone() -> None:
    for hertz in (500, 1000, 3000):
        assert level_db(through_telephone(tone(hertz))) == pytest.approx(
            level_db(tone(hertz)), abs=1
        )
    for hertz in (100, 150, 4500, 6000):
        assert level_db(through_telephone(tone(hertz))) < level_db(tone(hertz)) - 20
    for samples in (1600, 15999, 16001):
        assert len(through_telephone(np.ones(samples, np.float32))) == samples


@settings(deadline=None, max_examples=30)
@given(frames=st.integers(1, 400), seed=st.integers(0, 99))
def test_masks_are_bands_of_limited_width(frames: int, seed: int) -> None:
    features = torch.randn(80, frames)
    before = features.clone()
    mask_bands(features, np.random.default_rng(seed))
    changed = features != before
    bins, spans = changed.all(1), changed.all(0)
    assert bins.sum() <= 2 * 27 and spans.sum() <= 2 * (frames // 10) + (frames == 1)
    assert not changed[~bins][:, ~spans].any()
    assert features.isfinite().all()


def test_masks_do_mask() -> None:
    widths = []
    for seed in range(40):
        features = torch.randn(80, 300)
        before = features.clone()
        mask_bands(features, np.random.default_rng(seed))
        widths.append(int((features != before).all(1).sum()))
    assert np.mean(widths) > 10


def test_no_speed_takes_the_frames_that_the_text_needs() -> None:
    augmenter = Augmenter(AugmentConfig(speed=(2, 2)), seed=0)
    random = np.random.default_rng(0)
    for needed, frames in [(10, 25), (40, 40), (50, 50), (60, 50)]:
        heard = augmenter.waveform(tone(300), needed * 320, random)
        assert -(-len(heard) // 320) == frames


def drawn(manifest: Path) -> tuple[Dataset, BatchPlan]:
    table = load_corpus(
        [manifest], DataConfig(train=("x",)), Vocabulary.romanized(), LogMel()
    ).table
    return table, BatchPlan(table["seconds"], table["lang"], 12, 3.0, seed=3)


def test_draws_count_how_often_a_row_came() -> None:
    plan = BatchPlan([1.0] * 5, ["a"] * 5, 7, 3.0)
    seen: Counter[int] = Counter()
    for batch, draws in zip(plan, Draws(plan), strict=True):
        assert [row for row, _ in draws] == batch
        for row, times in draws:
            assert times == seen[row]
            seen[row] += 1
    assert max(seen.values()) > 2


def batches(table: Dataset, plan: BatchPlan, workers: int, seed: int = 0) -> list[dict]:
    collator = Collator(LogMel(), augmenter=Augmenter(EVERYTHING, seed))
    loader = DataLoader(
        DrawnRows(table), batch_sampler=Draws(plan), collate_fn=collator, num_workers=workers
    )
    torch.manual_seed(workers)
    return list(loader)


def test_workers_and_batch_mates_change_nothing(tmp_path: Path) -> None:
    table, plan = drawn(write_corpus(tmp_path))
    alone, helped = batches(table, plan, 0), batches(table, plan, 2)
    other = batches(table, plan, 0, seed=1)
    for a, b in zip(alone, helped, strict=True):
        assert torch.equal(a["features"], b["features"]) and torch.equal(a["labels"], b["labels"])
    assert any(
        a["features"].shape != b["features"].shape for a, b in zip(alone, other, strict=True)
    )
    collator = Collator(LogMel(), augmenter=Augmenter(EVERYTHING, 0))
    rows = DrawnRows(table)
    first = next(iter(Draws(plan)))
    for i, draw in enumerate(first):
        single = collator([rows[draw]])
        length = int(single["lengths"][0])
        assert length == alone[0]["lengths"][i]
        torch.testing.assert_close(
            single["features"][0], alone[0]["features"][i, :, :length], atol=1e-5, rtol=0
        )


def test_each_draw_is_another_and_labels_stay(tmp_path: Path) -> None:
    table, _ = drawn(write_corpus(tmp_path))
    rows, collator = DrawnRows(table), Collator(LogMel(), augmenter=Augmenter(EVERYTHING, 0))
    one, two = collator([rows[0, 0]]), collator([rows[0, 1]])
    assert one["features"].shape != two["features"].shape
    plain = collator([table[0]])  # dev rows carry no draw number
    assert torch.equal(plain["features"], Collator(LogMel())([table[0]])["features"])
    for batch in (one, two, plain):
        assert batch["labels"].tolist() == [table[0]["labels"]]
        assert batch["lengths"] // 2 >= ctc_frames_needed(table[0]["labels"])


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    manifest = write_corpus(tmp_path / "speech")
    return load_corpus([manifest], DataConfig(train=("x",)), Vocabulary.romanized(), LogMel())


def test_views_are_cached_shared_and_used_in_turn(
    model: AdaptedModel, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MADG_CACHE", str(tmp_path / "cache"))
    config = PretrainConfig.model_validate(
        {
            "data": {"train": ["x"]},
            "output": "x",
            "training": {"augment": EVERYTHING.model_dump() | {"cached_views": 2}},
        }
    ).training
    views = fill_views(model, corpus, config)
    plain = PrefixCache(model)
    audio = dict(zip(corpus.table["audio_hash"], map(Path, corpus.table["audio"]), strict=True))
    plain.fill(model, audio, dict.fromkeys(audio, 1.0), 1.0)
    assert len({cache.folder for cache in (plain, *views)}) == 3
    assert all(set(view.index) == set(audio) for view in views)

    collator = Collator(LogMel(), plain, views=views)
    rows = DrawnRows(corpus.table)
    heard = [collator([rows[0, draw]])["hidden"] for draw in range(4)]
    assert (
        torch.equal(heard[0], heard[3])
        and heard[0].shape == collator([corpus.table[0]])["hidden"].shape
    )
    assert len({tuple(states.shape) for states in heard[:3]}) == 3

    row = corpus.table[0]
    rendition = Rendition(row["audio_hash"], 1, ctc_frames_needed(row["labels"]))
    from madg_speech.audio import load_audio

    features = Augmenter(EVERYTHING, 0).features([load_audio(row["audio"])], [rendition], LogMel())
    expected, _ = model.prefix(*features)
    torch.testing.assert_close(heard[1], expected, atol=5e-3, rtol=5e-3)

    asked: list[int] = []
    monkeypatch.setattr(model, "prefix", lambda f, n: asked.append(len(f)))
    fill_views(model, corpus, config.model_copy(update={"seed": 5}))
    assert not asked
    with pytest.raises(DataError, match="cache_limit_gb"):
        louder = config.augment.model_copy(update={"noise_snr_db": (0.0, 5.0)})
        fill_views(
            model, corpus, config.model_copy(update={"augment": louder, "cache_limit_gb": 1e-6})
        )


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ("{augment: {speed: [0.9, 1.1]}}", ["training.augment", "cached_views", "cache_prefix"]),
        (
            "{cache_prefix: false, augment: {telephone: 0.2, cached_views: 2}}",
            ["cache_prefix: true"],
        ),
        ("{augment: {cached_views: 2}}", ["training.augment", "spec_augment"]),
        ("{augment: {speed: [1.1, 0.9]}}", ["training.augment.speed", "lower end"]),
        ("{augment: {speed: [0.1, 1]}}", ["training.augment.speed"]),
        ("{cache_prefix: false, augment: {speed: [0.5, 1]}}", ["max_seconds 20", "15"]),
        ("{augment: {sped: [1, 1]}}", ["training.augment.sped", "training.augment.speed"]),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, training: str, words: list[str]) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"output: run\ndata: {{train: [a.jsonl]}}\ntraining: {training}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path, PretrainConfig)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("views", [None, 1])
def test_an_interrupted_run_ends_like_an_unbroken_one(
    tiny_whisper: Path, tmp_path: Path, views: int | None
) -> None:
    manifest = write_corpus(tmp_path / "speech")

    def run(name: str, resume: bool = False) -> list[float]:
        augment = EVERYTHING.model_dump() | {"cached_views": views}
        training = {
            "steps": 6,
            "eval_every": 3,
            "seconds_per_batch": 6,
            "warmup_steps": 0,
            "cache_prefix": views is not None,
            "augment": augment,
        }
        config = PretrainConfig.model_validate(
            {
                "backbone": {"name": str(tiny_whisper)},
                "source": {"kind": "static", "bottleneck": 4},
                "data": {"train": [str(manifest)]},
                "training": training,
                "output": str(tmp_path / name),
            }
        )
        pretrain(config, Path("/"), device="cpu", resume=resume)
        state = json.loads((tmp_path / name / "checkpoint-6" / "trainer_state.json").read_text())
        return [entry["loss"] for entry in state["log_history"] if "loss" in entry]

    whole = run("whole")
    from madg_speech.training.speech_trainer import SpeechTrainer

    class Killed(Exception):
        pass

    step = SpeechTrainer.training_step

    def until_five(self: SpeechTrainer, *args: object) -> torch.Tensor:
        if self.state.global_step == 5:
            raise Killed
        return step(self, *args)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(SpeechTrainer, "training_step", until_five)
        patch.setattr(SpeechTrainer, "_prune", lambda self: None)
        run("broken")
    assert run("broken", resume=True) == whole
