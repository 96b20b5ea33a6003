"""Which frames of a recording hold speech: Silero VAD, its model inside the `silero-vad` wheel.

The sequence form of the model takes many frames in one call (7 s of one core for an hour of audio;
the frame-by-frame form takes 60). It runs in ONNX Runtime. The package itself is never imported:
importing it sets PyTorch to one thread for the whole process.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FRAME = 512  # samples at 16 kHz, 32 ms
_CONTEXT = 64  # samples of the frame before that the model looks at
_STATE = (1, 1, 128)  # of the model's LSTM
_MODEL = "data/silero_vad_16k_sequence.onnx"


class SpeechDetector:
    """Speech probabilities of one recording; keeps the model's state from call to call."""

    def __init__(self) -> None:
        self._context = np.zeros(_CONTEXT, np.float32)
        self._state = [np.zeros(_STATE, np.float32), np.zeros(_STATE, np.float32)]

    def __call__(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Probability of speech in each frame.

        Args:
            samples: 16 kHz, the continuation of the last call's; a last incomplete frame is
                completed with zeros, so only the end of a recording may have one.

        Returns:
            float32 [ceil(samples / FRAME)].
        """
        padded = np.pad(samples, (0, -len(samples) % FRAME))
        joined = np.concatenate([self._context, padded])
        frames = np.lib.stride_tricks.sliding_window_view(joined, _CONTEXT + FRAME)[::FRAME]
        self._context = joined[-_CONTEXT:]
        inputs = {"input": np.ascontiguousarray(frames), "h": self._state[0], "c": self._state[1]}
        probabilities, *self._state = _session().run(["speech_probs", "hn", "cn"], inputs)
        return np.asarray(probabilities, np.float32).reshape(-1)


@lru_cache(maxsize=1)
def _session() -> Any:
    import onnxruntime

    package = find_spec("silero_vad")
    assert package is not None and package.submodule_search_locations
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # frames depend on each other
    return onnxruntime.InferenceSession(
        Path(package.submodule_search_locations[0]) / _MODEL,
        options,
        providers=["CPUExecutionProvider"],
    )
