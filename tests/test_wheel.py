"""The wheel works outside the clone: readers, recipes and the checkpoint travel inside it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder)]
    subprocess.run([*command, str(ROOT)], check=True, timeout=300)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(unpacked: Path, *words: str) -> subprocess.CompletedProcess[str]:
    # PYTHONPATH comes before the editable installation that these tests run in
    return subprocess.run(
        [sys.executable, *words],
        cwd=unpacked.parent,
        env=os.environ | {"PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_readers_recipes_and_checkpoint_are_found_from_anywhere(unpacked: Path) -> None:
    program = """
from pathlib import Path
import madg_speech
from madg_speech.config import PretrainConfig, find_config, load_config
from madg_speech.data_prep import espeak, table
from madg_speech.model import checkpoint_folder, read_model_config
config = load_config(find_config(Path("recipes/default/two_stage.yaml")), PretrainConfig)
print(config.source.kind, len(read_model_config(checkpoint_folder("default")).languages) >= 75)
print(Path(madg_speech.__file__).parent.parent)
print(Path(espeak.__file__).parent.parent.parent)
"""
    result = run(unpacked, "-c", program)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split("\n")[:3] == ["two-stage True", str(unpacked), str(unpacked)]


def test_the_page_of_serve_is_inside(unpacked: Path) -> None:
    page = {path.name for path in (unpacked / "madg_speech" / "serving" / "page").iterdir()}
    assert {"index.html", "style.css", "app.js"} <= page


def test_the_command_line_answers(unpacked: Path) -> None:
    result = run(unpacked, "-m", "madg_speech", "prepare", "--help")
    assert result.returncode == 0
    assert "espeak" in result.stdout
