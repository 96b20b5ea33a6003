"""MAD-G for audio transformers: adapters generated from a language's typological vector.

>>> from madg_speech import load
>>> load("default").transcribe("talk.wav", lang="swh").text
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from madg_speech.asr import asr_pipeline
    from madg_speech.languages import Language, resolve
    from madg_speech.transcribe import Transcriber, load

__version__ = "0.1.0"
__all__ = ["Language", "Transcriber", "asr_pipeline", "load", "resolve"]

_ROOMS = {
    "Language": "madg_speech.languages",
    "resolve": "madg_speech.languages",
    "Transcriber": "madg_speech.transcribe",
    "asr_pipeline": "madg_speech.asr",
    "load": "madg_speech.transcribe",
}


def __getattr__(name: str) -> Any:
    # torch and transformers take seconds to import: nobody pays before asking for a model.
    if name not in _ROOMS:
        raise AttributeError(f"module 'madg_speech' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_ROOMS[name]), name)
