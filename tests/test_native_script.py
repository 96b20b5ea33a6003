"""The recipe from folders to table, on a tiny model and made-up recordings."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from madg_speech.model import AdaptedModel
from madg_speech.transcribe import Transcriber
from tests.speech import write_corpus

RECIPE = Path(__file__).parent.parent / "recipes" / "native_script" / "native_script.py"


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = spec_from_file_location("native_script", RECIPE)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "native_script", module)
    spec.loader.exec_module(module)
    return module


def test_finished_languages_stay_and_test_sentences_leave_the_text(
    recipe: ModuleType, model: AdaptedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speech = tmp_path / "data" / "speech" / "yor"
    for name in ("train", "test"):
        write_corpus(speech / name, ("yor",), copies=1)
        rows = (speech / name / "m.jsonl").read_text().replace('"yor-', f'"{name}/yor-')
        (speech / f"{name}.jsonl").write_text(rows)
    text = tmp_path / "data" / "text" / "mlm" / "yor.txt"
    text.parent.mkdir(parents=True)
    text.write_text("oko\nỌkọ mi dára púpọ̀ gan\nilé àwa wà ní ẹ̀gbẹ́ odò\nbobo\n")
    monkeypatch.setattr(recipe, "load", lambda name: Transcriber(model))
    monkeypatch.setattr(recipe, "TUNING", 2)
    arguments = ["--data", str(tmp_path / "data"), "--work", str(tmp_path / "work")]
    arguments += ["--langs", "yor", "--table", str(tmp_path / "page.md")]
    monkeypatch.setattr(sys, "argv", ["native_script", *arguments])
    recipe.main()
    page = (tmp_path / "page.md").read_text()
    assert "| Yoruba (yor) | Latin with diacritics | 4 | 2 (2) |" in page
    kept = (tmp_path / "work" / "yor" / "text" / "text.txt").read_text()
    assert "bobo" not in kept and "dára" in kept

    def refuse(name: str) -> Transcriber:
        raise AssertionError("a finished language was done again")

    monkeypatch.setattr(recipe, "load", refuse)
    recipe.main()
    assert (tmp_path / "page.md").read_text() == page
