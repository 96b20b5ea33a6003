"""Made-up recordings: each letter is a tone, so that a tiny model can really learn to spell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from madg_speech.data.manifest import Utterance, write_manifest

RATE = 16000
WORDS = {
    "swh": ["bado", "kuku", "dada", "baba"],
    "yor": ["oko", "odo", "aba", "bobo"],
    "deu": ["bad", "dock", "kabuk", "abba"],
}


def speak(text: str, seconds_per_letter: float = 0.12) -> np.ndarray:
    """One tone a letter, with a short gap."""
    time = np.arange(int(RATE * seconds_per_letter)) / RATE
    gap = np.zeros(int(RATE * 0.03))
    tones = [
        np.concatenate([0.5 * np.sin(2 * np.pi * (200 + 130 * (ord(c) - 97)) * time), gap])
        for c in text
        if c != " "
    ]
    return np.concatenate(tones).astype(np.float32)


def write_corpus(
    folder: Path, languages: tuple[str, ...] = ("swh", "yor"), copies: int = 2
) -> Path:
    """A manifest of the words above."""
    rows = []
    for language in languages:
        for i, word in enumerate(WORDS[language] * copies):
            audio = folder / f"{language}-{i}.wav"
            folder.mkdir(parents=True, exist_ok=True)
            wave = speak(word)
            noise = np.random.default_rng(i).normal(0, 1e-3, wave.size).astype(np.float32)
            soundfile.write(audio, wave + noise, RATE)
            rows.append(
                Utterance(
                    f"{language}-{i}", audio, word, language, wave.size / RATE, license="CC0-1.0"
                )
            )
    write_manifest(folder / "m.jsonl", rows)
    return folder / "m.jsonl"
