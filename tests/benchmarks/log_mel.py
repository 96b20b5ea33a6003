"""How fast are log-mel features, beside transformers' numpy extractor on the same utterances?

It pads to 30 s, ours does not. Run: ``python -m tests.benchmarks.log_mel``. Goal: at least 5 times
faster.
"""

import numpy as np
from transformers import WhisperFeatureExtractor

from madg_speech.backbones.mel import log_mel
from tests.benchmarks.measure import Result, compare, main


def measure(quick: bool) -> list[Result]:
    random = np.random.default_rng(0)
    waveforms = [
        random.standard_normal(int(16_000 * seconds)).astype(np.float32)
        for seconds in random.uniform(2, 10, 8 if quick else 32)
    ]
    extractor = WhisperFeatureExtractor()

    def numpy_path() -> None:
        for waveform in waveforms:
            padded = np.pad(waveform, (0, extractor.n_samples - len(waveform)))
            extractor._np_extract_fbank_features(padded[None], "cpu")

    def torch_path() -> None:
        extractor(waveforms, sampling_rate=16_000)

    audio = f"{len(waveforms)} utterances of 2 to 10 s; "
    results = []
    for name, path, goal in (("numpy", numpy_path, 5.0), ("torch", torch_path, None)):
        ratio, detail = compare(path, lambda: log_mel(waveforms), 3 if quick else 7)
        question = f"log-mel: transformers' {name} path / ours"
        results.append(Result(question, ratio, "x", goal, audio + detail, at_least=True))
    return results


if __name__ == "__main__":
    main(measure)
