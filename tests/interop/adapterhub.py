"""Exported folders loaded by the real `adapters` library, in a virtual environment of its own.

    python tests/interop/adapterhub.py VENV     # builds VENV where it is missing, then compares

The library pins an older transformers, so it cannot live beside this package. Torch and the rest come
from the environment that runs the script; only what differs is installed. The script's other half,
``_theirs``, runs in VENV and imports nothing of ours.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

PINNED = ["adapters==1.3.0", "transformers~=4.57.6", "huggingface-hub<1", "tokenizers<0.23.1"]


def build(venv: Path) -> Path:
    """The environment's python; made with pip where it is missing."""
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps"]
        subprocess.run([*pip, *PINNED], check=True)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = venv / "lib" / version / "site-packages"
        shared = [path for path in sys.path if path.endswith("site-packages")]
        (packages / "shared.pth").write_text("\n".join(shared or [sysconfig.get_path("purelib")]))
    return python


def compare(venv: Path) -> dict[str, float]:
    """Largest difference of last hidden states, ours against theirs, for Whisper and for BERT."""
    import numpy as np
    import torch
    from transformers import BertConfig, BertModel

    from madg_speech.adapters import ActiveAdapters
    from madg_speech.backbones.base import Placement
    from madg_speech.conditioning import condition
    from madg_speech.formats.adapterhub import write_adapter
    from madg_speech.formats.export import ExportFormat, export
    from madg_speech.injection import Injection
    from tests.conftest import build_model
    from tests.tiny import whisper_folder

    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        model = build_model(whisper_folder(work / "whisper"), kind="madg")
        export(model, [condition(model, "wol")], ExportFormat.adapterhub, work / "out")
        mel = torch.randn(1, 80, 3000, generator=torch.manual_seed(0))
        with torch.inference_mode():
            hidden, frames = model.prefix(mel, torch.tensor([3000]))
            whisper = model.adapted_layers(hidden, frames, ["wol"])
        np.save(work / "whisper.npy", mel.numpy())

        settings = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2}
        bert = BertModel(BertConfig(**settings, intermediate_size=64, vocab_size=100)).eval()
        bert.save_pretrained(work / "bert")
        weights = model.source(["wol"])
        write_adapter(weights, "wol", work / "out-bert", "bert", 4, "bert")
        places = [
            Placement(layer.output.LayerNorm, before_norm=True) for layer in bert.encoder.layer
        ]
        ids = torch.arange(1, 21)[None]
        injection = Injection(places, weights.layers)
        with torch.inference_mode(), injection.use(ActiveAdapters.select(weights, [0])):
            text = bert(ids).last_hidden_state
        np.save(work / "bert.npy", ids.numpy())

        subprocess.run([build(venv), __file__, "--theirs", work], check=True)
        theirs = {
            kind: torch.from_numpy(np.load(work / f"{kind}-out.npy"))
            for kind in ("whisper", "bert")
        }
        plain = {kind: torch.from_numpy(np.load(work / f"{kind}-plain.npy")) for kind in theirs}
    ours = {"whisper": whisper, "bert": text}
    for kind, hidden in ours.items():
        assert not torch.allclose(hidden, plain[kind], atol=1e-2), "the adapter changes nothing"
    return {kind: float((hidden - theirs[kind]).abs().max()) for kind, hidden in ours.items()}


def _theirs(work: Path) -> None:
    import adapters
    import numpy as np
    import torch
    from transformers import BertModel, WhisperModel

    for kind, kept, folder in (
        ("whisper", WhisperModel, "out/wol"),
        ("bert", BertModel, "out-bert"),
    ):
        model = kept.from_pretrained(work / kind).eval()
        adapters.init(model)
        encoder = model.encoder if kind == "whisper" else model
        inputs = torch.from_numpy(np.load(work / f"{kind}.npy"))
        with torch.inference_mode():
            np.save(work / f"{kind}-plain.npy", encoder(inputs).last_hidden_state.numpy())
            model.load_adapter(str(work / folder), use_safetensors=True, set_active=True)
            np.save(work / f"{kind}-out.npy", encoder(inputs).last_hidden_state.numpy())


if __name__ == "__main__":
    if sys.argv[1] == "--theirs":
        _theirs(Path(sys.argv[2]))
    else:
        sys.path.insert(0, str(Path(__file__).parents[2]))
        print(json.dumps(compare(Path(sys.argv[1]))))
