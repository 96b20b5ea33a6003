"""The pages say what is true: commands exist, configurations load, numbers are counted, links hold."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
import torch
import yaml
from mkdocs.commands.build import build
from mkdocs.config import load_config as load_site
from typer.main import get_command

from docs.hooks import scaling
from docs.hooks.scaling import ROWS, SECONDS, Shape, count_step, read_measured
from madg_speech.backbones.whisper import WhisperBackbone
from madg_speech.cli import VERBS
from madg_speech.config.joint import JointConfig
from madg_speech.config.speech import PretrainConfig
from madg_speech.model import AdaptedModel
from madg_speech.training.distil import DistilConfig
from tests.conftest import build_model
from tests.tiny import whisper_folder

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TINY = Shape("tiny", 32, 4, 2, 80)


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and text of the fenced blocks of a page."""
    fenced = re.findall(
        r"^ *```(\w*)\n(.*?)^ *```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    return [(language, text.replace("\\\n", " ")) for language, text in fenced]


def commands() -> list[tuple[str, list[str]]]:
    found = []
    for page in PAGES:
        lines = [line for _, text in blocks(page) for line in text.splitlines()]
        lines += re.findall(r"`(madg-speech [^`]+)`", page.read_text("utf-8"))
        for line in lines:
            start = re.search(r"(^|[|(] ?|-m )(madg-speech|madg_speech) (?=[a-z])", line.strip())
            if start:
                words = shlex.split(line.strip()[start.end() :], comments=True)
                found.append((f"{page.name}: {line.strip()}", words))
    return found


def test_there_are_commands_to_check() -> None:
    assert len(commands()) > 30


@pytest.mark.parametrize(("where", "words"), commands(), ids=lambda value: str(value)[:60])
def test_commands_on_the_pages_exist(where: str, words: list[str]) -> None:
    verb, *rest = words
    assert verb in VERBS, where
    command = get_command(import_module(f"madg_speech.cli.{verb.replace('-', '_')}").app)
    inner = getattr(command, "commands", None)
    if inner and rest and rest[0].isupper():  # any of them: `prepare CORPUS PATH`
        command = list(inner.values())[-1]
    elif inner and rest and re.fullmatch(r"[a-z-]+", rest[0]):
        assert rest[0] in inner, where
        command = inner[rest.pop(0)]
    known = {
        name
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    for word in rest:
        if word.startswith("-") and word != "-":
            assert word.partition("=")[0] in known | {"--help"}, where


def configurations() -> list[tuple[str, str]]:
    return [
        (page.name, text)
        for page in PAGES
        for language, text in blocks(page)
        if language == "yaml" and re.search(r"^\w+:", text, re.MULTILINE)
    ]


@pytest.mark.parametrize(("page", "text"), configurations())
def test_configurations_on_the_pages_are_valid(page: str, text: str) -> None:
    values = yaml.safe_load(text)
    values.pop("inherit", None)
    if values.get("objective") == "distil":
        DistilConfig.model_validate(values)
    elif values.get("objective") == "joint":
        text = {"objective": "mlm", "data": {"text": ["x.txt"]}}
        parts = {"speech": {"data": {"train": ["x.jsonl"]}}, "text": text}
        JointConfig.model_validate(values | parts)
    else:
        whole = {"output": "runs/x", "data": {"train": ["x.jsonl"]}} | values
        PretrainConfig.model_validate(whole)


def test_paths_named_on_the_pages_exist() -> None:
    for page in PAGES:
        for path in re.findall(
            r"\b((?:recipes|docs|tests|madg_speech)/[\w./-]+\w)", page.read_text("utf-8")
        ):
            assert (ROOT / path).exists() or "/NAME" in path, f"{page.name}: {path}"


def test_counted_memory_is_what_training_keeps(tmp_path: Path) -> None:
    """The count without data against the bytes that a real step on this CPU saves."""
    model = build_model(
        whisper_folder(tmp_path, encoder_ffn_dim=128),
        kind="two-stage",
        bottleneck=2,
        embedding_size=32,
    )
    kept = saved_bytes(model)
    assert count_step(TINY).saved * ROWS * SECONDS == pytest.approx(kept, rel=0.15)


def saved_bytes(model: AdaptedModel) -> int:
    assert isinstance(model.backbone, WhisperBackbone)
    frames = torch.full((ROWS,), SECONDS * 50)
    hidden, _ = model.prefix(torch.randn(ROWS, 80, SECONDS * 100), 2 * frames)
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    held: dict[int, torch.Tensor] = {}

    def hold(tensor: torch.Tensor) -> torch.Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    rows = ("swh", "yor", "deu", "fin", "tur", "hin", "mal", "amh")
    with (
        torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor),
        model.injection.use(model.adapters_for(rows)),
    ):
        adapted = model.injection.adapt(2, hidden)
        model.backbone.run_layers(adapted, frames, start=3).sum()
    return sum(t.untyped_storage().nbytes() for key, t in held.items() if key not in own)


def test_operations_grow_as_layers_and_width_do() -> None:
    step, wider = count_step(TINY), count_step(Shape("wider", 64, 4, 2, 80))
    deeper, deepest = (count_step(Shape(f"{n} deep", 32, n, 2, 80)).above for n in (8, 12))
    assert deepest - deeper == pytest.approx(deeper - step.above, rel=1e-3)
    assert 2 * step.above < wider.above < 4 * step.above
    # a layer of width H: 12 H² weights, two operations each, and attention over T frames, 4 T H
    frames = 50 * (24 * 32**2 + 4 * SECONDS * 50 * 32)
    embed = 100 * 2 * 3 * 80 * 32 + 50 * 2 * 3 * 32 * 32
    assert step.prefix == pytest.approx(3 * frames + embed, rel=0.01)


def test_speed_comes_from_the_benchmarks_page(tmp_path: Path) -> None:
    assert read_measured().below > 1e8
    page = tmp_path / "benchmarks.md"
    page.write_text(
        "4 cores (x86_64), one thread used; torch 2.9, transformers 5.1.0\n"
        "| below the first adapter, a second of audio, 384 x 4 | 9 ms |\n"
        "| training step above it, a second of audio, 384 x 4 | 9 ms |\n"
        "| below the first adapter, a second of audio, 512 x 6 | 10 ms |\n"
        "| training step above it, a second of audio, 512 x 6 | 20 ms |\n"
    )
    measured, base = read_measured(page), count_step(scaling.SHAPES[0])
    assert measured.machine.startswith("4 cores") and measured.machine.endswith("5.1.0")
    assert measured.below == pytest.approx(base.prefix / 0.010)
    assert measured.above == pytest.approx(base.above / 0.020)
    page.write_text("4 cores (x86_64); transformers 5.1.0\n")
    with pytest.raises(ValueError, match="sizes"):
        read_measured(page)


def test_the_site_builds_strictly_and_asks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    build(load_site(str(ROOT / ".mkdocs.yml"), site_dir=str(tmp_path)))
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        text = page.read_text("utf-8")
        assert not re.search(r"<!-- (scaling|reference|notebook):", text), page
        assert not re.findall(r"<(?:script|img|iframe|source)[^>]*\ssrc=\"?(?:https?:)?//", text), (
            page
        )
        assert not re.findall(r"<link[^>]*rel=\"?(?:stylesheet|preconnect|icon)[^>]*//", text), page
    for style in tmp_path.rglob("*.css"):
        assert not re.findall(r"url\([\"']?(?:https?:)?//", style.read_text("utf-8")), style
