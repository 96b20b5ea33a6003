"""What large runs cost: fills the tables of ``scaling.md`` when the site is built (a MkDocs hook).

Sizes are counted on the real classes with tensors that hold no data (torch's meta device); speed is
taken from ``benchmarks.md``. ``python docs/hooks/scaling.py`` prints the tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent
MARKER = re.compile(r"<!-- scaling: (\w+) -->")
SECONDS, ROWS, LANGUAGES = (
    8,
    8,
    8,
)  # of the batch that is counted: 8 rows of 8 s, each another language
STATE = 16  # bytes a learning parameter: itself, its gradient and AdamW's two moments, in float32
BATCH_SECONDS = 60
HOURS = 50_000
ASSUMED_FLOPS = 100e12  # a second, of one GPU


@dataclass(frozen=True)
class Shape:
    """An encoder's sizes, as its config.json has them; ``heads`` of attention, ``mel`` of Whisper."""

    name: str
    width: int
    layers: int
    heads: int
    mel: int | None = None

    def backbone(self) -> Any:
        """The backbone, without data."""
        import torch

        with torch.device("meta"):
            if self.mel:
                from madg_speech.backbones.whisper import WhisperBackbone
                from madg_speech.backbones.whisper_encoder import WhisperEncoder, WhisperShape

                shape = WhisperShape(
                    d_model=self.width,
                    encoder_layers=self.layers,
                    decoder_layers=self.layers,
                    encoder_attention_heads=self.heads,
                    encoder_ffn_dim=4 * self.width,
                    num_mel_bins=self.mel,
                    max_source_positions=1500,
                )
                return WhisperBackbone(WhisperEncoder(shape), self.name)
            from transformers import Wav2Vec2Config, Wav2Vec2Model

            from madg_speech.backbones.wav2vec2 import Wav2Vec2Backbone

            config = Wav2Vec2Config(
                hidden_size=self.width,
                num_hidden_layers=self.layers,
                num_attention_heads=self.heads,
                intermediate_size=4 * self.width,
                conv_bias=True,
                feat_extract_norm="layer",
                do_stable_layer_norm=True,
            )
            return Wav2Vec2Backbone(Wav2Vec2Model(config), self.name)

    def embed(self, backbone: Any) -> Any:
        """What enters the first layer for the batch that is counted."""
        import torch

        if self.mel:
            return backbone.embed(torch.empty(ROWS, self.mel, SECONDS * 100), torch.empty(ROWS))[0]
        model = backbone.model
        heard = model.feature_extractor(torch.empty(ROWS, SECONDS * 16_000)).transpose(1, 2)
        hidden = model.feature_projection(heard)[0]
        return hidden + model.encoder.pos_conv_embed(hidden)

    def source(self, kind: str, languages: Sequence[str] = ()) -> Any:
        """Adapters of width H/16 for the upper half of the layers, without data."""
        import torch

        from madg_speech.config.source import SourceConfig
        from madg_speech.sources import build_source

        config = SourceConfig.model_validate({"kind": kind, "bottleneck": self.width // 16})
        with torch.device("meta"):
            return build_source(config, self.width, self.layers, languages)


SHAPES = (
    Shape("Whisper-base", 512, 6, 8, 80),
    Shape("XLS-R-300M", 1024, 24, 16),
    Shape("XLS-R-1B", 1280, 48, 16),
    Shape("Whisper-large-v3", 1280, 32, 20, 128),
)


@dataclass(frozen=True)
class Step:
    """What a training step takes for each second of audio.

    Attributes:
        prefix: floating-point operations below the first adapter, whose own layer is frozen too.
        above: of the layers above, forward and backward, and of generating the adapters.
        saved: bytes kept for the backward pass, in float32, with fused attention.
    """

    prefix: float
    above: float
    saved: float


@cache
def count_step(shape: Shape) -> Step:
    """Count operations and saved tensors of a two-stage step on an unpadded batch."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from madg_speech.adapters import ActiveAdapters
    from madg_speech.injection import Injection

    backbone, source = shape.backbone(), shape.source("two-stage")
    injection = Injection(backbone.placements, source.shape.layers)
    first, frames = shape.layers // 2, 0
    held: dict[int, torch.Tensor] = {}

    def hold(tensor: torch.Tensor) -> torch.Tensor:
        # fused attention keeps no matrix of frames by frames; the meta device knows no fused kernel
        if tensor.shape[-2:] != (frames, frames):
            held[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.device("meta"):
        with FlopCounterMode(display=False) as below, torch.no_grad():
            hidden = shape.embed(backbone)
            hidden = backbone.run_layers(hidden, None, stop=first + 1)
        frames = hidden.shape[1]
        with (
            FlopCounterMode(display=False) as above,
            torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor),
        ):
            weights = source.generate(torch.empty(LANGUAGES, source.embed.out_features))
            with injection.use(ActiveAdapters.select(weights, range(LANGUAGES))):
                hidden = injection.adapt(first, hidden)
                hidden = backbone.run_layers(hidden, None, start=first + 1)
            hidden.sum().backward()
    learned = {p.untyped_storage()._cdata for m in (backbone, source) for p in m.parameters()}
    saved = sum(t.untyped_storage().nbytes() for key, t in held.items() if key not in learned)
    seconds = ROWS * SECONDS
    return Step(
        below.get_total_flops() / seconds, above.get_total_flops() / seconds, saved / seconds
    )


@dataclass(frozen=True)
class Measured:
    """Speed on one thread of the machine that ``benchmarks.md`` describes.

    Attributes:
        machine: that machine, in words.
        widest: the largest encoder that was timed.
        below: operations a second below the first adapter.
        above: operations a second in the training step above that.
    """

    machine: str
    widest: Shape
    below: float
    above: float


def read_measured(page: Path = DOCS / "benchmarks.md") -> Measured:
    """The rows that ``tests/benchmarks/sizes.py`` writes, and the machine; ValueError without them."""
    text = page.read_text(encoding="utf-8")
    rows = re.findall(
        r"\| (below the first adapter|training step above it), a second of audio, (\d+) x (\d+) "
        r"\| ([\d.e+]+) ms",
        text,
    )
    machine = re.search(r"\d+ cores \(.*?transformers [\d.]*\d", text, re.DOTALL)
    if not rows or not machine:
        raise ValueError(
            f"{page}: no rows of tests/benchmarks/sizes.py; run tests/benchmarks/run.py"
        )
    width, layers = max((int(width), int(layers)) for _, width, layers, _ in rows)
    ms = {name: float(ms) for name, w, n, ms in rows if (int(w), int(n)) == (width, layers)}
    widest = Shape(f"{width} x {layers}", width, layers, width // 64, 80)
    step = count_step(widest)
    return Measured(
        " ".join(machine[0].split()),
        widest,
        step.prefix / ms["below the first adapter"] * 1000,
        step.above / ms["training step above it"] * 1000,
    )


def _size(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _table(header: str, rows: Sequence[Sequence[str]]) -> str:
    cells = header.split("|")
    lines = [cells, ["---", *["--:"] * (len(cells) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cell.strip() for cell in line)} |" for line in lines)


def sources() -> str:
    """Parameters to learn, by kind of source and number of languages."""
    from madg_speech.languages import all_languages

    codes = [language.iso for language in all_languages()[:1000]]
    rows = []
    for shape in SHAPES:
        one = _size(shape.source("static"))
        each = [_size(shape.source("per-language", codes[:count])) for count in (100, 1000)]
        generated = [_size(shape.source(kind)) for kind in ("madg", "madg-ls", "two-stage")]
        rows.append(
            [f"{shape.name}, {shape.width} x {shape.layers}"]
            + [f"{count / 1e6:,.1f} M" for count in (one, *each, *generated)]
            + [f"{generated[-1] * 4 / 1e6:,.0f} MB"]
        )
    return _table(
        "encoder, width x layers | one shared set | one each, 100 | one each, 1,000 | MAD-G | MAD-G-LS | "
        "two-stage | its file",
        rows,
    )


def storage() -> str:
    """Bytes of the frozen-prefix cache."""
    rows = []
    for shape in SHAPES:
        frame = 2 * shape.width  # float16
        second = frame * shape.backbone().front_end.frame_rate
        hour = second * 3600
        rows.append(
            [shape.name, f"{frame:,} B", f"{hour / 1e6:,.0f} MB", f"{hour * HOURS / 1e12:,.1f} TB"]
        )
    flac = 16_000 * 2 * 3600  # mono, 16 bit
    rows.append(["(the audio itself, 16-bit wav)", "", f"{flac / 1e6:,.0f} MB"])
    rows[-1].append(f"{flac * HOURS / 1e12:,.1f} TB")
    return _table(f"encoder | a frame | an hour of audio | {HOURS:,} hours", rows)


def memory() -> str:
    """Memory of one training process."""
    rows = []
    for shape in SHAPES:
        frozen = _size(shape.backbone()) * 4
        learned = _size(shape.source("two-stage")) * STATE
        saved = count_step(shape).saved * BATCH_SECONDS
        rows.append(
            [shape.name]
            + [
                f"{size / 1e9:.2f} GB"
                for size in (frozen, learned, saved, frozen + learned + saved)
            ]
        )
    return _table(
        f"encoder | frozen | learned, with AdamW | kept for backward, {BATCH_SECONDS} s | together",
        rows,
    )


def time() -> str:
    """Operations, and hours on the measured thread and on an assumed GPU."""
    measured = read_measured()
    rows = []
    for shape in SHAPES:
        step = count_step(shape)
        thread = step.prefix / measured.below, step.above / measured.above
        gpu = (step.prefix + step.above) / ASSUMED_FLOPS * HOURS
        rows.append(
            [shape.name, f"{step.prefix / 1e9:.1f} G", f"{step.above / 1e9:.1f} G"]
            + [f"{seconds:.2g} s" for seconds in thread]
            + [f"{gpu:,.1f} h", f"{gpu / 64 * 60:,.0f} min"]
        )
    return _table(
        "encoder | operations below | above | one thread, below | above | "
        f"{HOURS:,} h, one GPU | 64 GPUs",
        rows,
    )


def machine() -> str:
    """What the measured speed was, and on which machine."""
    measured = read_measured()
    return (
        f"Measured: {measured.below / 1e9:.0f} G operations a second below the adapters and "
        f"{measured.above / 1e9:.0f} G above, in an encoder of {measured.widest.name} "
        f"({measured.machine}). Assumed, not measured: {ASSUMED_FLOPS / 1e12:.0f} T a second on a GPU."
    )


BLOCKS: dict[str, Callable[[], str]] = {
    block.__name__: block for block in (sources, storage, memory, time, machine)
}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for each page: puts a table in place of each marker; KeyError for a wrong one."""
    return MARKER.sub(lambda marker: BLOCKS[marker[1]](), markdown)


if __name__ == "__main__":
    for block in BLOCKS.values():
        print(block(), end="\n\n")
