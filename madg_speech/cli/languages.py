"""``madg-speech languages``: list, search, neighbours, and the choice of a training set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from madg_speech import languages, typology
from madg_speech.checkpoint import checkpoint_folder, read_model_config
from madg_speech.errors import ConfigError, DataError
from madg_speech.languages import Language

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)

# Half the features: below that the kNN guesses make up most of a distance.
WELL_OBSERVED = 0.5


@app.command()
def list_languages(
    text: Annotated[
        str | None, typer.Argument(help="A code, a tag, or a part of an English name.")
    ] = None,
    near: Annotated[
        str | None, typer.Option(metavar="LANG", help="Typological neighbours of this language.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many neighbours --near shows.")] = 10,
    trained: Annotated[
        str | None,
        typer.Option(
            metavar="CHECKPOINT",
            help="Only languages that a checkpoint folder (or 'default') was trained on.",
        ),
    ] = None,
    clade: Annotated[
        str | None, typer.Option(help="Only languages below a Glottolog clade, such as Bantu.")
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option("--from", metavar="MANIFEST", help="Only languages of a JSONL manifest."),
    ] = None,
    select: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Choose a training set of N languages.")
    ] = None,
    diverse: Annotated[
        bool,
        typer.Option("--diverse/--random", help="How --select chooses: far apart, or by chance."),
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Seed of --select.")] = 0,
    min_observed: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Only languages with at least this share of observed (not imputed) features. "
            f"Default: 0, and {WELL_OBSERVED} for a --select that is free to take any language.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """List, search and select languages; typological neighbours and observed features."""
    if near and select:
        raise ConfigError("--near and --select do not go together: run one, then the other")
    if min_observed is None:
        min_observed = WELL_OBSERVED if select and not (trained or manifest) else 0.0
    pool = _pool(text, clade, trained, manifest, min_observed)
    if near:
        centre = languages.resolve(near, _notice)
        found = typology.nearest(centre.iso, [language.iso for language in pool], count)
        distances = {neighbour.iso: neighbour.distance for neighbour in found}
        _print(_in_order(pool, list(distances)), as_json, distances, centre)
    elif select:
        choose = typology.select_diverse if diverse else typology.select_random
        chosen = choose([language.iso for language in pool], select, seed)
        _print(_in_order(pool, chosen), as_json)
    else:
        _print(pool, as_json)


def _pool(
    text: str | None,
    clade: str | None,
    trained: str | None,
    manifest: Path | None,
    min_observed: float,
) -> list[Language]:
    # A text found in no name is a code or a tag, or an error with near matches.
    pool = languages.all_languages() if text is None else languages.search(text)
    if text is not None and (len(text) <= 3 or not pool):
        pool = (languages.resolve(text, _notice),)
    for isos in (
        {language.iso for language in languages.clade_members(clade)} if clade else None,
        _trained_on(trained) if trained else None,
        _spoken_in(manifest) if manifest else None,
    ):
        if isos is not None:
            pool = tuple(language for language in pool if language.iso in isos)
    kept = [lang for lang in pool if typology.observed_share(lang.iso) >= min_observed]
    if not kept:
        raise DataError("no language fits all of these conditions: drop one of them")
    return kept


def _trained_on(checkpoint: str) -> set[str]:
    config = read_model_config(checkpoint_folder(checkpoint))
    return {languages.resolve(iso).iso for iso in config.languages}


def _spoken_in(manifest: Path) -> set[str]:
    from madg_speech.data.manifest import read_manifest

    spoken = {utterance.lang for utterance in read_manifest(manifest)}
    return {languages.resolve(iso, _notice).iso for iso in sorted(spoken)}


def _in_order(pool: Sequence[Language], isos: Sequence[str]) -> list[Language]:
    by_iso = {language.iso: language for language in pool}
    return [by_iso[iso] for iso in isos]


def _describe(language: Language) -> dict[str, Any]:
    return {
        "iso": language.iso,
        "name": language.name,
        "lineage": list(language.lineage),
        "latitude": language.latitude,
        "longitude": language.longitude,
        "script": language.script,
        "known_to": sorted(language.known_to),
        "uriel_entry": typology.described_by(language.iso),
        "observed_share": round(typology.observed_share(language.iso), 4),
        "observed_share_by_block": {
            block: round(share, 4)
            for block, share in typology.observed_share_by_block(language.iso).items()
        },
    }


def _print(
    found: Sequence[Language],
    as_json: bool,
    distances: dict[str, float] | None = None,
    centre: Language | None = None,
) -> None:
    if as_json:
        rows = [_describe(language) for language in found]
        for row in rows if distances else ():
            row["distance"] = round((distances or {})[row["iso"]], 4)
        print(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    Console().print(_table(found, distances))
    if centre:
        share = typology.observed_share(centre.iso)
        _notice(
            f"{centre.iso} ({centre.name}): {share:.0%} of its own features observed, the rest "
            "imputed. Distance: share of the 289 features that differ"
        )


def _table(found: Sequence[Language], distances: dict[str, float] | None) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("code", "name", *(["distance"] if distances else []), "observed"):
        right = heading in ("distance", "observed")
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading != "name")
    for heading in ("family", "script", "known to"):
        table.add_column(heading)
    for language in found:
        entry = typology.described_by(language.iso)
        table.add_row(
            language.iso if entry == language.iso else f"{language.iso} (as {entry})",
            language.name,
            *([f"{distances[language.iso]:.3f}"] if distances else []),
            f"{typology.observed_share(language.iso):.0%}",
            language.lineage[0] if language.lineage else "-",
            language.script,
            ", ".join(sorted(language.known_to)) or "-",
        )
    return table


def _notice(sentence: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(sentence, markup=False)
