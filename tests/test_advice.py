from madg_speech.advice import advise
from madg_speech.checkpoint import ModelConfig
from madg_speech.conditioning import Conditioning
from madg_speech.config.backbone import BackboneConfig
from madg_speech.config.source import SourceConfig
from madg_speech.languages import resolve

CONFIG = ModelConfig(
    backbone=BackboneConfig(name="openai/whisper-base"),
    hidden_size=8,
    layers=2,
    source=SourceConfig(kind="madg"),
    languages=("swh", "yor", "deu", "fin"),
    expected_cer={"trained": 0.41, "unrelated": 0.58},
)


def advice(iso: str, origin: str | None = None) -> str:
    return advise(Conditioning(iso, resolve(iso), origin or iso, None), CONFIG)


def test_a_trained_language_has_its_own_error_rate_and_no_neighbours() -> None:
    line = advice("swh")
    assert "Swahili (swh): trained on" in line
    assert "41% character errors" in line
    assert "nearest" not in line
    assert "plain Whisper" in line


def test_an_unrelated_language() -> None:
    line = advice("quz")
    assert "nor any relative" in line
    assert "nearest trained" in line
    assert "58%" in line
    assert "Whisper" not in line
    assert "\n" not in line


def test_no_number_where_none_was_measured() -> None:
    assert "its clade was" in advice("nld")
    assert "expect" not in advice("nld")


def test_what_was_measured_for_another_adapter_is_not_promised() -> None:
    assert "no adapter in use" in advice("swh", "none")
    assert "adapter in use: deu" in advice("swh", "deu")
    assert "expect" not in advice("swh", "deu")


def test_an_own_label() -> None:
    line = advise(Conditioning("my dialect", None, "mine.json", None), CONFIG)
    assert "my dialect" in line
    assert "mine.json" in line


def test_a_wholly_imputed_vector_is_called_guesswork() -> None:
    assert "nothing of its vector observed" in advice("mln")
