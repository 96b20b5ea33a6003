"""Wheel and sdist: what is built holds every file that belongs to it, and works outside the clone."""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# where a folder of the clone lies in a wheel
PLACES = {
    "madg_speech": "madg_speech",
    "data_prep": "madg_speech/data_prep",
    "recipes": "madg_speech/recipes",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel made from that sdist, of a clean copy of the clone."""
    folder = tmp_path_factory.mktemp("built")
    clone = folder / "clone"
    for name in PLACES:
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(clone)]
    subprocess.run(command, check=True, timeout=300, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path) -> Path:
    """The wheel in a fresh virtual environment that borrows the packages of this one."""
    environment = built / "venv"
    venv.create(environment)
    python = environment / "bin" / "python"
    (wheel,) = built.glob("*.whl")
    # pip first: with the borrowed packages in sight it would find madg-speech installed already
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index"]
    subprocess.run([*pip, "--no-deps", str(wheel)], check=True, timeout=300)
    (site,) = environment.glob("lib/python*/site-packages")
    borrowed = [path for path in sys.path if path.endswith("site-packages")]
    (site / "borrowed.pth").write_text("\n".join(borrowed))
    return environment


def run(environment: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(environment / "bin" / words[0]), *words[1:]],
        cwd=environment.parent,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def files_of(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_made_from_the_sdist_holds_the_files_of_the_clone(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    wanted = {
        f"{place}/{file}" for folder, place in PLACES.items() for file in files_of(ROOT / folder)
    }
    assert held == wanted


def test_the_sdist_can_be_built_again_and_holds_nothing_of_this_machine(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO"} <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_readers_recipes_and_checkpoint_are_found_from_anywhere(installed: Path) -> None:
    program = """
from pathlib import Path
import madg_speech
from madg_speech.config.speech import PretrainConfig
from madg_speech.config.files import find_config, load_config
from madg_speech.data_prep import espeak, table
from madg_speech.checkpoint import checkpoint_folder, read_model_config
config = load_config(find_config(Path("recipes/default/two_stage.yaml")), PretrainConfig)
print(config.source.kind, len(read_model_config(checkpoint_folder("default")).languages) >= 75)
print(Path(madg_speech.__file__).parents[4])
print(Path(espeak.__file__).parents[5])
"""
    result = run(installed, "python", "-c", program)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split("\n")[:3] == ["two-stage True", str(installed), str(installed)]


def test_the_command_line_answers(installed: Path) -> None:
    result = run(installed, "madg-speech", "prepare", "--help")
    assert result.returncode == 0, result.stderr
    assert "espeak" in result.stdout
