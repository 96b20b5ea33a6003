"""Things to say in any language that Unicode CLDR describes: no corpus, no digits, no network.

Names (of languages, months, weekdays, territories) joined by the locale's own list pattern,
spelled-out numbers, and dates with their numbers spelled out. Names, patterns and dates come from
Babel's copy of CLDR, spelled-out numbers from CLDR's rule-based number formats (RBNF) through
``unicode-rbnf``; a locale without such rules gets names only. Spelled-out dates put cardinals where
many languages want ordinals or an oblique case: words to pronounce, not model prose.
CLDR data is under the Unicode License v3.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from random import Random

_NUMBER = re.compile(r"\d+\.?")
_ROUNDS = 3
_SOFT_HYPHEN = "\u00ad"


def cldr_sentences(locale: str, count: int, seed: int, territories: bool = True) -> list[str]:
    """Sentences for a CLDR locale such as "sw", in no useful order, a function of the arguments.

    Args:
        locale: CLDR locale identifier; one that Babel lacks yields an empty list.
        count: how many numbers and how many dates to spell out. Each name is used once, or up to
            three times, in other company, where there would be fewer than ``count`` lists.
        seed: of names' grouping, numbers and dates.
        territories: whether territory names are among the names.
    """
    random = Random(f"{seed}/{locale}")
    names = _names(locale, territories)
    sentences: list[str] = []
    for _ in range(_ROUNDS):
        if len(sentences) < count:
            random.shuffle(names)
            sentences += _lists(names, locale, random)
    spell = _speller(locale)
    if spell is not None:
        for _ in range(count):
            few = [random.choice((random.randrange(100), random.randrange(10_000))) for _ in "ab"]
            sentences.append(_join([spell(number) for number in few], locale))
            sentences.append(_date(locale, random, spell))
    return [sentence.replace(_SOFT_HYPHEN, "") for sentence in dict.fromkeys(sentences)]


def _names(locale: str, territories: bool) -> list[str]:
    """The locale's own names; what it only inherits (from root or another language) is left out."""
    from babel import Locale, UnknownLocaleError, localedata
    from babel.core import get_global

    if locale in get_global("parent_exceptions"):  # Haitian Creole, say, inherits French names
        return []
    try:
        data = Locale.parse(locale)
    except UnknownLocaleError:
        return []
    inherited = set(localedata.load("root")["days"]["format"]["wide"].values())
    found = [name for code, name in data.languages.items() if "_" not in code]
    found += data.months["format"]["wide"].values()  # Babel 2.18 mixes languages up in
    found += data.days["format"]["wide"].values()  # its "stand-alone" forms, once several are read
    if territories:
        found += [name for code, name in data.territories.items() if code.isalpha()]
    return sorted(
        name for name in set(found) - inherited if "(" not in name and not _NUMBER.search(name)
    )


def _lists(names: list[str], locale: str, random: Random) -> Iterator[str]:
    start = 0
    while start < len(names):
        end = start + random.randint(2, 4)
        yield _join(names[start:end], locale)
        start = end


def _join(parts: list[str], locale: str) -> str:
    from babel.lists import format_list

    return str(format_list(parts, locale=locale))


def _date(locale: str, random: Random, spell: Callable[[int], str]) -> str:
    from babel.dates import format_date

    day = datetime.date(1950, 1, 1) + datetime.timedelta(days=random.randrange(36_500))
    written = format_date(day, format=random.choice(("full", "long")), locale=locale)
    return _NUMBER.sub(lambda digits: spell(int(digits[0].rstrip("."))), written)


@lru_cache
def _speller(locale: str) -> Callable[[int], str] | None:
    from unicode_rbnf import RbnfEngine

    if locale not in RbnfEngine.get_supported_languages():
        return None
    engine = RbnfEngine.for_language(locale)
    return lambda number: engine.format_number(number).text
