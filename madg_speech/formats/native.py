"""Our own adapter folders: what ``transcribe --adapter`` takes, as ``refine`` writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from madg_speech.adapters import AdapterWeights
from madg_speech.conditioning import ADAPTER, ADAPTER_FACTS


def write_native(checkpoint: str, adapters: Mapping[str, AdapterWeights], folder: Path) -> None:
    """Write ``folder/<lang>/adapter.safetensors`` and the ``adapter.json`` that names its checkpoint."""
    for language, weights in adapters.items():
        target = folder / language
        target.mkdir()
        weights.save(target / ADAPTER, [language])
        facts = {"checkpoint": checkpoint, "language": language}
        (target / ADAPTER_FACTS).write_text(json.dumps(facts, indent=2) + "\n")
