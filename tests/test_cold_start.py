"""From the first import to the first text: what takes seconds and is not needed is not imported."""

import subprocess
import sys
from pathlib import Path

import soundfile

from madg_speech.model import AdaptedModel
from tests.speech import speak

SLOW = (
    "transformers",
    "torch._dynamo",
    "sympy",
    "scipy",
    "librosa",
    "datasets",
    "uroman",
    "pandas",
)
PROGRAM = f"""
import sys
from madg_speech.cli import main
sys.argv = ["madg-speech", "transcribe", *sys.argv[1:]]
try:
    main()
except SystemExit as exit:
    assert not exit.code, exit.code
print([name for name in {SLOW} if name in sys.modules], file=sys.stderr)
"""


def test_transcribing_with_whisper_imports_little(model: AdaptedModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "c")
    soundfile.write(tmp_path / "talk.wav", speak("bado kuku"), 16000)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            PROGRAM,
            tmp_path / "talk.wav",
            "-lswh",
            "--checkpoint",
            tmp_path / "c",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert done.stderr.splitlines()[-1] == "[]"
