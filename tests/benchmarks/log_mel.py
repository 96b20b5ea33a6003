"""Times log_mel against transformers' numpy extractor on the same utterances, padded to 30 s there.

Run: ``python tests/benchmarks/log_mel.py``. Goal: at least 5 times faster.
"""

from time import perf_counter

import numpy as np
from transformers import WhisperFeatureExtractor

from madg_speech.backbones.mel import log_mel

random = np.random.default_rng(0)
waveforms = [
    random.standard_normal(int(16_000 * seconds)).astype(np.float32)
    for seconds in random.uniform(2, 10, 32)
]
extractor = WhisperFeatureExtractor()
log_mel(waveforms[:2])


def best_of(rounds, compute):
    times = []
    for _ in range(rounds):
        start = perf_counter()
        compute()
        times.append(perf_counter() - start)
    return min(times)


def pad_to_window(waveform):
    return np.pad(waveform, (0, extractor.n_samples - len(waveform)))


def numpy_path():
    for waveform in waveforms:
        extractor._np_extract_fbank_features(pad_to_window(waveform)[None], "cpu")


ours = best_of(5, lambda: log_mel(waveforms))
theirs = best_of(2, numpy_path)
torch_path = best_of(3, lambda: extractor(waveforms, sampling_rate=16_000))
audio = sum(map(len, waveforms)) / 16_000
print(f"{audio:.0f} s of audio in {len(waveforms)} utterances")
print(f"log_mel {ours:.3f} s, transformers numpy {theirs:.3f} s, torch {torch_path:.3f} s")
print(f"{theirs / ours:.1f} times faster than numpy, {torch_path / ours:.1f} than its torch path")
