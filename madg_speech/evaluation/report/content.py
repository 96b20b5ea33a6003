"""What a report shows of a part: worked out once, rendered as HTML and as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from madg_speech.errors import ConfigError
from madg_speech.evaluation.report.about import data_sheet, settings_sheet, system_sheet
from madg_speech.evaluation.report.map import language_map
from madg_speech.evaluation.report.parts import Part
from madg_speech.evaluation.report.plots import BarGroup, gain_plot, group_bars
from madg_speech.evaluation.report.sheet import Sheet, percent, span
from madg_speech.evaluation.report.tables import METRICS, comparison_sheet, group_sheet, score_sheet
from madg_speech.evaluation.report.worst import Miss, worst_utterances
from madg_speech.evaluation.tables import remarks


@dataclass(frozen=True)
class Content:
    """Tables, drawings and quotations of one evaluation.

    Attributes:
        name: of the part.
        rate: what the first spelling's rate is called, CER or PER.
        system: the one under study.
        baseline: what gains are measured against; None with a single system.
        facts: (label, value, small print) for the top of the part.
        remarks: what a reader of the scores must know.
        scores: (spelling, name of the rate) -> languages x systems.
        groups: spelling -> macro means.
        bars: groups of the first spelling.
        axis_end: rate at which the bars' axis ends.
        gains: system -> its SVG against the baseline.
        map: SVG, None without coordinates.
        comparisons: of the first system, then of the others, all spellings.
        misses: worst utterances of the system under study.
        withheld: how many utterances were not to be quoted for their licence.
        about: data, systems, settings.
    """

    name: str
    rate: str
    system: str
    baseline: str | None
    facts: list[tuple[str, str, str]]
    remarks: list[str]
    scores: dict[tuple[str, str], Sheet]
    groups: dict[str, Sheet]
    bars: list[BarGroup]
    axis_end: float
    gains: dict[str, str]
    map: str | None
    comparisons: list[Sheet]
    misses: list[Miss]
    withheld: int
    about: list[Sheet]


def collect(
    part: Part, baseline: str | None = None, worst: int = 20, non_commercial: bool = False
) -> Content:
    """Work out what is shown of a part.

    Args:
        part: the evaluation.
        baseline: a system's name; the strongest other system if None.
        worst: how many utterances to quote at most.
        non_commercial: whether to quote references whose licence forbids commercial use.

    Raises:
        ConfigError: no system of this name.
    """
    if baseline is not None and baseline not in part.systems:
        raise ConfigError(
            f"{part.name} has no system {baseline!r}; it has {', '.join(part.systems)}"
        )
    system = part.systems[0]
    against = baseline or part.strongest_other()
    bars, axis_end = group_bars(part, part.spellings[0])
    drawn = {s: gain_plot(part, s, against) for s in part.systems if against and s != against}
    compared = [
        comparison_sheet(part, spelling, s) for s in part.systems for spelling in part.spellings
    ]
    misses, withheld = worst_utterances(part, system, worst, non_commercial)
    return Content(
        part.name,
        part.rate_name(),
        system,
        against,
        _facts(part, system, against),
        [*_chosen(part.results), *remarks(dict(part.results))],
        {
            (s, part.rate_name(m, s)): score_sheet(part, s, m)
            for s in part.spellings
            for m in METRICS
        },
        {s: group_sheet(part, s) for s in part.spellings},
        bars,
        axis_end,
        {name: svg for name, svg in drawn.items() if svg},
        language_map(part, system),
        [sheet for sheet in compared if sheet],
        misses,
        withheld,
        [data_sheet(part), system_sheet(part), settings_sheet(part)],
    )


def _facts(part: Part, system: str, against: str | None) -> list[tuple[str, str, str]]:
    rows = [part.results["languages"][language] for language in part.languages]
    minutes = sum(row["seconds"] for row in rows) / 60
    utterances = sum(row["utterances"] for row in rows)
    facts = [("languages", str(len(rows)), f"{utterances} utterances, {minutes:.0f} minutes")]
    groups = part.results["groups"][part.spellings[0]]
    for label, name, group in (
        (f"macro {part.rate_name()} of {system}", system, "all"),
        ("on languages never trained on", system, "unseen"),
        (f"macro {part.rate_name()} of {against}", against or "", "all"),
    ):
        if group in groups.get(name, {}):
            cer = groups[name][group]["all"]["cer"]
            interval = span(cer["interval"])
            facts.append(
                (
                    label,
                    f"{percent(cer['macro'])} %",
                    f"95 %: {interval}" if interval else "no interval",
                )
            )
    return facts


def _chosen(results: Any) -> list[str]:
    dev = ", ".join(results["settings"]["dev_languages"])
    return [
        f"{kind}: {mode} was chosen on {dev}; compare with that one"
        for kind, mode in results["chosen"].items()
    ]
