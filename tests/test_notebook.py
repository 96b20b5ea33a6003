"""The notebook runs from its first cell to its last, on a tiny random model."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from madg_speech.errors import BackboneError
from madg_speech.text import espeak_engine

NOTEBOOK = Path(__file__).parent.parent / "docs" / "notebooks" / "espeak.ipynb"


def test_every_cell_runs(
    tiny_whisper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        espeak_engine.Engine()
    except BackboneError as error:
        pytest.skip(str(error))
    for name, value in {
        "NOTEBOOK_BACKBONE": str(tiny_whisper),
        "NOTEBOOK_STEPS": "4",
        "NOTEBOOK_SENTENCES": "3",
        "NOTEBOOK_FOLDER": str(tmp_path / "work"),
        "CUDA_VISIBLE_DEVICES": "",
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "jupyter"),
    }.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    said = [
        "".join(
            out.get("text", "") for out in cell.get("outputs", ()) if out.get("name") == "stdout"
        )
        for cell in notebook.cells
    ]
    assert any("Tswana" in text and "Swahili" in text for text in said)
    assert "CER" in said[-2] and "unseen" in said[-2]
    assert (tmp_path / "work" / "two-stage" / "checkpoint" / "README.md").is_file()
