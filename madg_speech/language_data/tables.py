"""Reads what is known about languages into plain dictionaries, once per process.

Sources, all shipped by pip packages or stored beside this file:

- codes, English names, macrolanguages: ISO 639 as `iso639-lang` carries it;
- names, ordered lineage (Glottolog), coordinates: `urielplus`' ``lang_fam_geo.csv``, joined through
  its ``uriel_glottocode_map.csv``, whose codes are exactly the rows of lang2vec's URIEL;
- English names, usual script and code aliases (``iw``, ``jw``): CLDR as `babel` carries it;
- ``macrolanguages.json``: which individual language stands for a macrolanguage. A judgement: the
  standard variety, or the one most spoken. A macrolanguage that is absent stands for itself;
- ``scripts.json``: ISO 15924 code to script type. Hangul and Yi, like kana with kanji, resist a
  single type; they are filed as alphabet, syllabary and logographic;
- ``known_to.json``: languages that a backbone was trained on. ``whisper``: the 100 of transformers'
  ``tokenization_whisper.LANGUAGES``. ``xls-r``: the model card of facebook/wav2vec2-xls-r-300m,
  whose 126 tags fall together in 125 languages here (the paper counts 128 with regional variants);
  its non-standard tags kb, lm and tp are read as Kabyle, Luxembourgish and Tok Pisin. Filipino is
  filed with Tagalog in both. ``xlm-r``: table 6 of Conneau et al. 2020 (arXiv 1911.02116), romanised
  and script variants filed with their language. ``mbert``: multilingual.md of google-research/bert, the
  cased model;
- ``aliases.json``: everyday names and one old code that none of these lists.
"""

from __future__ import annotations

import csv
import json
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from babel import Locale
from babel.core import get_global
from iso639 import Lang, iter_langs
from iso639.exceptions import DeprecatedLanguageValue, InvalidLanguageValue

# Written with an abjad's letters, but with every vowel: Sorani, Uyghur, Kashmiri, Yiddish.
FULLY_VOWELLED = frozenset({"ckb", "uig", "kas", "ydd", "yid", "yih"})


class Place(NamedTuple):
    """A Glottolog entry: name, lineage from family to innermost clade, coordinates in degrees."""

    name: str
    lineage: tuple[str, ...]
    latitude: float | None
    longitude: float | None


def read_json(name: str) -> Any:
    """Read a JSON file of this folder."""
    return json.loads((files(__package__) / name).read_text(encoding="utf-8"))


def package_folder(package: str) -> Path:
    """Where an installed package lies, without importing it (lang2vec may not import)."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{package} is not installed: pip install {package}")
    return Path(spec.submodule_search_locations[0])


@cache
def macrolanguages() -> dict[str, str]:
    """Macrolanguage -> the individual language that stands for it, both ISO 639-3."""
    return dict(read_json("macrolanguages.json"))


@cache
def iso_languages() -> dict[str, Lang]:
    """ISO 639-3 code -> its ISO record (active codes only)."""
    return {lang.pt3: lang for lang in iter_langs() if lang.pt3}


@cache
def code_aliases() -> dict[str, str]:
    """ISO 639-1, 639-2/B and CLDR's retired codes (``iw``, ``jw``, ``mo``) -> ISO 639-3."""
    two_letter = {lang.pt1: iso for iso, lang in iso_languages().items() if lang.pt1}
    bibliographic = {lang.pt2b: iso for iso, lang in iso_languages().items() if lang.pt2b}
    cldr = {
        old: two_letter.get(new, new)
        for old, new in get_global("language_aliases").items()
        if len(old) == 2 and old not in two_letter and two_letter.get(new, new) in iso_languages()
    }
    stored: dict[str, str] = read_json("aliases.json")["codes"]
    return cldr | stored | bibliographic | two_letter


@cache
def places() -> dict[str, Place | None]:
    """Every code with a URIEL entry (7,970) -> its Glottolog entry, None where there is none."""
    folder = package_folder("urielplus") / "database" / "urielplus_csvs"
    with (folder / "uriel_glottocode_map.csv").open(encoding="utf-8", newline="") as lines:
        glottocodes = {row["iso_code"]: row["glottocode"] for row in csv.DictReader(lines)}
    wanted = set(glottocodes.values())
    found: dict[str, Place] = {}
    with (folder / "lang_fam_geo.csv").open(encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines)
        next(rows)
        for glottocode, name, latitude, longitude, lineage in rows:
            if glottocode in wanted:
                clades = tuple(clade for part in lineage.split(",") if (clade := part.strip()))
                east = _degrees(longitude)
                # A few are counted eastwards to 360.
                east = east - 360 if east is not None and east > 180 else east
                found[glottocode] = Place(name, clades, _degrees(latitude), east)
    return {iso: found.get(glottocode) for iso, glottocode in glottocodes.items()}


def _degrees(text: str) -> float | None:
    return float(text) if text else None


def iso_name(iso: str) -> str | None:
    """ISO's reference name, that of a retired code included; None if ISO never had the code."""
    known = iso_languages().get(iso)
    if known is not None:
        return known.name
    try:
        return Lang(iso).name
    except DeprecatedLanguageValue as retired:
        return str(retired.name)
    except InvalidLanguageValue:
        return None


@cache
def english_names() -> dict[str, str]:
    """CLDR's English names: ISO 639-3 -> name."""
    aliases = code_aliases()
    named = {}
    for tag, name in Locale("en").languages.items():
        iso = aliases.get(tag, tag)
        if "_" not in tag and iso in iso_languages():
            named[iso] = name
    return named


@cache
def everyday_names() -> dict[str, str]:
    """Names in use that the standards do not list (Farsi, Mandarin) -> ISO 639-3."""
    return dict(read_json("aliases.json")["names"])


def script_of(iso: str) -> str | None:
    """CLDR's usual script (ISO 15924) of a language or else of its macrolanguage; or None."""
    likely = get_global("likely_subtags")
    lang = iso_languages().get(iso)
    tag = likely.get(iso)
    while tag is None and lang is not None:
        tag = likely.get(lang.pt1) or likely.get(lang.pt3)
        lang = lang.macro()
    return str(tag).split("_")[1] if tag else None


@cache
def script_types() -> dict[str, str]:
    """ISO 15924 code -> alphabet, abjad, abugida, syllabary or logographic."""
    return {code: kind for kind, codes in read_json("scripts.json").items() for code in codes}


@cache
def backbones_knowing() -> dict[str, frozenset[str]]:
    """ISO 639-3 -> backbones whose training languages name it."""
    known: dict[str, set[str]] = {}
    for backbone, isos in read_json("known_to.json").items():
        for iso in isos:
            known.setdefault(iso, set()).add(backbone)
    return {iso: frozenset(backbones) for iso, backbones in known.items()}
