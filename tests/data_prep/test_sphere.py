"""Sphere files compressed by shorten."""

import numpy as np
import pytest

from madg_speech.data.manifest import read_manifest
from tests.data_prep.trees import run, table


def shortened(samples: list[int]) -> bytes:
    """A shorten 2 stream as it stands in sphere files, every sample coded as it is (DIFF0).

    Format: T. Robinson, "SHORTEN: Simple lossless and near-lossless waveform compression", 1994.
    """
    bits = ""

    def unsigned(value: int, low: int) -> str:
        return "0" * (value >> low) + "1" + (f"{value % 2**low:0{low}b}" if low else "")

    def number(value: int) -> str:
        width = value.bit_length()
        return unsigned(width, 2) + unsigned(value, width)

    for value in (
        5,
        1,
        len(samples),
        0,
        0,
        0,
    ):  # 16 bits low byte first, channels, block, no LPC...
        bits += number(value)
    bits += unsigned(0, 2) + unsigned(8, 3)  # a block by DIFF0, residuals with 8 + 1 low bits
    for sample in samples:
        bits += unsigned(2 * sample if sample >= 0 else -2 * sample - 1, 9)
    bits += unsigned(4, 2)  # the end
    bits += "0" * (-len(bits) % 32)
    return b"ajkg\x02" + int(bits, 2).to_bytes(len(bits) // 8)


def test_sphere_compressed_by_shorten(tmp_path):
    from madg_speech.audio import load_audio

    wave = [round(3000 * np.sin(n / 9)) for n in range(8000)]
    head = (
        f"NIST_1A\n   1024\nsample_count -i {len(wave)}\nsample_n_bytes -i 2\nchannel_count -i 1\n"
        "sample_byte_format -s2 01\nsample_rate -i 16000\n"
        "sample_coding -s26 pcm,embedded-shorten-v2.00\nend_head\n"
    )
    corpus = table(tmp_path, ["a_1_1\tmoja"])
    (corpus / "a_1_1.sph").write_bytes(head.encode().ljust(1024, b" ") + shortened(wave))
    out, _ = run("openslr", corpus, lang="swh", dev=0.0)
    [found] = read_manifest(out / "train.jsonl")
    assert found.seconds == 0.5
    assert load_audio(found.audio) == pytest.approx(np.array(wave) / 32768, abs=1e-4)
