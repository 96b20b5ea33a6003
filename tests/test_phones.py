from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from madg_speech.decoding.inventory import mask_inventory
from madg_speech.errors import BackboneError, ConfigError, UnknownLanguageError
from madg_speech.evaluation.results import Scoring, score_folder
from madg_speech.evaluation.run import run_systems
from madg_speech.metrics.error_rate import per
from madg_speech.model import AdaptedModel
from madg_speech.text.espeak_engine import Engine
from madg_speech.text.phones import (
    PHONES,
    UNSAID,
    inventory,
    phonemize,
    phonemize_many,
    phones_of,
    segments,
)
from madg_speech.text.vocabulary import Vocabulary
from madg_speech.typology import load_typology
from tests.speech import write_corpus
from tests.test_pretrain import run, settings


@pytest.fixture(scope="module", autouse=True)
def espeak() -> None:
    try:
        Engine()
    except BackboneError as error:
        pytest.skip(str(error))


def test_a_transcription_becomes_plain_segments() -> None:
    assert segments("ˈhaʊ̯s ʃˈaːkʰ_ʲ t͡sũː ç") == "haʊs ʃak tsu ç"
    assert segments("(en)ɡˈʊd(ja) g") == "ɡʊd ɡ"
    assert all(len(phone) == 1 for phone in PHONES)


def test_text_is_read_by_its_language() -> None:
    assert phonemize(["chakula", "Habari yako?"], "swh") == ["tʃakula", "habari jako"]
    assert phonemize(["Ich"], "deu") == ["ɪç"]
    assert phonemize_many(["Ich", "chakula", "x"], ["deu", "swh", "qaa"]) == ["ɪç", "tʃakula", ""]
    with pytest.raises(UnknownLanguageError, match="no voice for yor"):
        phonemize(["x"], "yor")


def test_every_segment_feature_of_uriel_is_mapped() -> None:
    block = [name for name in load_typology().feature_names if name.startswith("INV_")]
    unmapped = [name for name in block if not phones_of(name)]
    # what is left says something of the whole inventory, not that one segment is in it
    assert all(
        name.startswith(("INV_PLACE", "INV_VOW", "INV_CONS_", "INV_APIC", "INV_VELAR_UVULAR"))
        or "_MINUS_" in name
        or "_VD_VLESS" in name
        for name in unmapped
    )
    assert len(block) - len(unmapped) == 117
    assert phones_of("INV_VOICELESS_ALVEOLAR_PLOSIVE_WITH_VOICELESS_ALVEOLAR_FRICATIVE") == {
        "t",
        "s",
    }


def test_inventories_differ_as_languages_do() -> None:
    assert UNSAID <= inventory("haw") < set(PHONES)
    assert "ħ" in inventory("arb") and "ħ" not in inventory("fin")
    assert "ɓ" in inventory("hau") and "ɓ" not in inventory("deu")
    with pytest.raises(UnknownLanguageError):
        inventory("qaa")


def test_phones_of_other_languages_are_never_decoded() -> None:
    vocabulary = Vocabulary.phones()
    masked = mask_inventory(torch.zeros(2, 3, vocabulary.size), vocabulary, "fin")
    kept = {vocabulary.symbols[i] for i in (masked[0, 0] == 0).nonzero().flatten().tolist()}
    assert kept == {*vocabulary.symbols[:2], *inventory("fin")}
    assert torch.isneginf(masked).any()
    with pytest.raises(ConfigError, match="vocabulary: phones"):
        mask_inventory(torch.zeros(1, 29), Vocabulary.romanized(), "fin")


def test_per_counts_phones_and_no_spaces() -> None:
    assert per(["ab cd"], ["abc d"]).rate == 0
    assert per(["ab cd"], ["ab ce"]).rate == pytest.approx(0.25)


def test_a_phone_head_is_trained_scored_and_masked(
    tiny_whisper: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = write_corpus(tmp_path / "train", ("deu", "yor"))
    dev = write_corpus(tmp_path / "dev", ("swh",), copies=1)
    folder = run(
        settings(
            tiny_whisper,
            train,
            tmp_path / "run",
            vocabulary="phones",
            data={"train": [str(train)], "dev": [str(dev)]},
        )
    )
    said = capsys.readouterr().err
    assert "8 whose text eSpeak NG cannot say" in said  # Yoruba has no voice
    assert "dev PER" in said
    assert "| PER (greedy, pooled) |" in (folder / "README.md").read_text()
    assert AdaptedModel.from_pretrained(folder).vocabulary == Vocabulary.phones()

    scores = tmp_path / "scores"
    run_systems(scores, [dev], [folder], device="cpu", inventory=True)
    results = score_folder(scores, Scoring(samples=0))
    assert set(results["scores"]) == {"phones"}
    assert set(results["scores"]["phones"]) == {"run.generated", "run.generated-inventory"}
    assert results["settings"]["rates"]["phones"]["cer"] == "PER"
    reference = "".join(phonemize(["bado", "kuku", "dada", "baba"], "swh"))
    score = results["scores"]["phones"]["run.generated"]["swh"]["all"]
    assert score["characters"] == len(reference)
    assert math.isfinite(score["cer"]["rate"])
    masked = [
        json.loads(line)["text"]
        for line in (scores / "hypotheses" / "run.generated-inventory" / "swh.jsonl")
        .read_text()
        .splitlines()
    ]
    assert {char for text in masked for char in text} <= {" ", *inventory("swh")}
