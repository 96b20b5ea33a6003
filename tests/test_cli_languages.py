"""``madg-speech languages`` from the outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from madg_speech.checkpoint import ModelConfig
from madg_speech.cli import app
from madg_speech.config.backbone import BackboneConfig
from madg_speech.config.source import SourceConfig
from madg_speech.errors import CheckpointError, ConfigError, DataError, UnknownLanguageError
from madg_speech.typology import distances, observed_share


def run(*args: str) -> str:
    result = CliRunner().invoke(app, ["languages", *args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def rows(*args: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(*args, "--json"))
    return found


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    config = ModelConfig(
        backbone=BackboneConfig(name="openai/whisper-base"),
        hidden_size=512,
        layers=6,
        source=SourceConfig(),
        languages=("swh", "fra", "ful", "arb"),
    )
    (tmp_path / "config.json").write_text(config.model_dump_json())
    return tmp_path


def test_search_by_name_and_code() -> None:
    assert [row["iso"] for row in rows("sw")] == ["swh"]
    assert "swc" in [row["iso"] for row in rows("swahili")]
    with pytest.raises(UnknownLanguageError, match="Swahili"):
        run("Swahilly")


def test_everything_is_listed() -> None:
    assert len(rows()) == 7970


def test_table_shows_observed_share_and_borrowed_entry() -> None:
    printed = run("lv")
    assert "lvs (as lav)" in printed
    assert "36%" in printed


def test_neighbours_with_distances() -> None:
    found = rows("--near", "wol", "--count", "4")
    assert len(found) == 4
    for row in found:
        assert row["distance"] == pytest.approx(distances("wol", [row["iso"]])[0], abs=1e-4)
        assert row["observed_share"] == pytest.approx(observed_share(row["iso"]), abs=1e-4)
    assert "distance" in run("--near", "wol", "--count", "1")


def test_neighbours_among_the_trained(checkpoint: Path) -> None:
    # "ful" resolves to fuv, as every code from a checkpoint is resolved.
    found = rows("--near", "wol", "--trained", str(checkpoint))
    assert {row["iso"] for row in found} == {"swh", "fra", "fuv", "arb"}
    assert found[0]["iso"] == "fuv"


def test_trained_needs_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json"):
        run("--trained", str(tmp_path))
    (tmp_path / "config.json").write_text('{"languages": "swh"}')
    with pytest.raises(CheckpointError, match=r"config\.json: backbone: Field required$"):
        run("--trained", str(tmp_path))


def test_clade() -> None:
    found = rows("--clade", "Germanic", "--min-observed", "0.5")
    assert {"eng", "deu"} <= {row["iso"] for row in found}
    assert all("Germanic" in row["lineage"] for row in found)
    assert all(row["observed_share"] >= 0.5 for row in found)


def test_selection_from_a_manifest(tmp_path: Path) -> None:
    manifest = tmp_path / "train.jsonl"
    codes = ["swh", "fra", "eng", "sw", "wol", "jpn"]
    manifest.write_text(
        "".join(
            json.dumps({"id": f"{n}", "audio": "a.wav", "text": "a", "lang": code, "seconds": 1})
            + "\n"
            for n, code in enumerate(codes)
        )
    )
    found = rows("--select", "5", "--from", str(manifest))
    assert {row["iso"] for row in found} == {"swh", "fra", "eng", "wol", "jpn"}
    with pytest.raises(DataError, match="6 languages of 5"):
        run("--select", "6", "--from", str(manifest))


def test_selection_is_diverse_or_random_by_seed() -> None:
    diverse = [row["iso"] for row in rows("--select", "6")]
    assert diverse == [row["iso"] for row in rows("--select", "6", "--diverse", "--seed", "0")]
    assert all(observed_share(iso) >= 0.5 for iso in diverse)
    chance = [row["iso"] for row in rows("--select", "6", "--random", "--seed", "1")]
    assert chance != [row["iso"] for row in rows("--select", "6", "--random", "--seed", "2")]


def test_impossible_combinations() -> None:
    with pytest.raises(DataError, match="drop one"):
        run("--clade", "Germanic", "zulu")
    with pytest.raises(ConfigError, match="together"):
        run("--near", "wol", "--select", "3")
