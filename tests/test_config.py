from pathlib import Path

import pytest

from madg_speech.config.files import load_config
from madg_speech.config.speech import PretrainConfig
from madg_speech.errors import ConfigError

GOOD = "output: run\ndata: {train: [a.jsonl]}\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_defaults_are_filled_in(tmp_path: Path) -> None:
    config = load_config(write(tmp_path / "c.yaml", GOOD), PretrainConfig)
    assert config.backbone.name == "openai/whisper-base"
    assert config.source.kind == "two-stage"
    assert config.training.smoothing == 0.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD + "sauce: {kind: static}\n", ["c.yaml", "'sauce'", "'source'"]),
        (
            GOOD + "training: {learning_rat: 1}\n",
            ["training.learning_rat", "training.learning_rate"],
        ),
        (GOOD + "source: {kind: magd}\n", ["source.kind", "magd"]),
        (GOOD + "training: {steps: -3}\n", ["training.steps", "-3"]),
        ("output: run\n", ["data"]),
        ("[1, 2]\n", ["top level"]),
        ("a: [\n", ["not YAML"]),
        ("inherit: nowhere.yaml\n", ["nowhere.yaml"]),
    ],
)
def test_errors_name_file_key_and_way_out(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path / "c.yaml", text), PretrainConfig)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_inherited_values_are_overlaid_key_by_key(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", GOOD + "training: {steps: 7, seed: 3}\n")
    child = write(tmp_path / "c.yaml", "inherit: base.yaml\ntraining: {seed: 4}\n")
    config = load_config(child, PretrainConfig, {"output": "elsewhere"})
    assert (config.training.steps, config.training.seed, config.output) == (7, 4, "elsewhere")


def test_a_circle_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "c.yaml", "inherit: c.yaml\n")
    with pytest.raises(ConfigError, match="inherits from itself"):
        load_config(tmp_path / "c.yaml", PretrainConfig)


def test_of_two_parents_the_later_counts(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", GOOD + "training: {steps: 7, seed: 3}\n")
    write(tmp_path / "b.yaml", "training: {seed: 4}\n")
    child = write(tmp_path / "c.yaml", "inherit: [a.yaml, b.yaml]\n")
    config = load_config(child, PretrainConfig)
    assert (config.training.steps, config.training.seed) == (7, 4)


def test_a_section_inherits_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    write(tmp_path / "below/steps.yaml", "inherit: seed.yaml\nsteps: 7\n")
    write(tmp_path / "below/seed.yaml", "seed: 3\nsteps: 5\n")
    section = "training: {inherit: below/steps.yaml, clip: 2}\n"
    config = load_config(write(tmp_path / "c.yaml", GOOD + section), PretrainConfig)
    assert (config.training.steps, config.training.seed, config.training.clip) == (7, 3, 2)
    write(tmp_path / "c.yaml", GOOD + "training: {inherit: c.yaml}\n")
    with pytest.raises(ConfigError, match="inherits from itself"):
        load_config(tmp_path / "c.yaml", PretrainConfig)
