"""Results -> sheets of scores: per language, per group, and systems compared in pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from madg_speech.evaluation.report.parts import TRAINING_GROUPS, Part
from madg_speech.evaluation.report.sheet import Cell, Column, Sheet, number, percent, span

METRICS = ("cer", "wer")
GROUP_LABELS = {
    "all": "all",
    "trained": "trained on",
    "unseen": "never trained on",
    "clade": "clade in training",
    "family": "family in training",
    "unrelated": "unrelated to training",
    "backbone:known": "known to the backbone",
    "backbone:unknown": "unknown to the backbone",
    "unseen, backbone:unknown": "never trained on, unknown to the backbone",
}


def score_sheet(part: Part, spelling: str, metric: str) -> Sheet:
    """Languages x systems with what is known of each language; the best system of a row is marked."""
    systems = list(part.results["scores"][spelling])
    columns = [
        Column("language"), *(Column(system, True) for system in systems), Column("group"),
        Column("script"), Column("backbone knows it"), Column("observed %", True),
        Column("distance", True), Column("utterances", True),
    ]  # fmt: skip
    rows = []
    for language in sorted(part.languages, key=lambda name: _far_first(part, name, spelling)):
        about = part.results["languages"][language]
        scores = {s: score[metric] for s in systems if (score := part.score(s, language, spelling))}
        if not scores:
            continue
        least = min(score["rate"] for score in scores.values())
        observed, distance = about.get("observed_share"), part.distance(systems[0], language)
        rows.append(
            [
                Cell(about["name"], small=language),
                *(
                    Cell(
                        percent(scores[s]["rate"]),
                        scores[s]["rate"],
                        span(scores[s]["interval"]),
                        len(scores) > 1 and scores[s]["rate"] == least,
                    )
                    if s in scores
                    else Cell("–")
                    for s in systems
                ),
                Cell(GROUP_LABELS.get(part.group_of(language) or "", "–")),
                Cell(about.get("script", "–")),
                Cell(_known(part, language)),
                number(observed, "–" if observed is None else f"{100 * observed:.0f}"),
                number(distance, "–" if distance is None else f"{distance:.3f}"),
                number(about["utterances"], str(about["utterances"])),
            ]
        )
    return Sheet(
        f"{part.rate_name(metric, spelling)} % per language "
        f"({spelling}, {part.results['settings']['normalizer']})",
        columns,
        rows,
        "Languages farthest from the training first. Errors pooled over a language's utterances; small: "
        "95 % interval over utterances. Observed: share of the language's typological vector that is not "
        "imputed. Distance: share of features in which the nearest other training language differs.",
    )


def group_sheet(part: Part, spelling: str) -> Sheet:
    """Macro means of every system in every group."""
    rate, wrong = part.rate_name("cer", spelling), part.rate_name("wer", spelling)
    columns = [
        Column("group"), Column("system"), Column("lang.", True), Column("clades", True),
        Column(f"{rate} %", True), Column("sd", True), Column("worst 5", True),
        Column("utt. mean", True), Column("words", True), Column("sentences", True),
        Column("unleaked", True), Column(f"{wrong} %", True),
    ]  # fmt: skip
    rows = []
    systems = part.results["groups"][spelling]
    for group in group_names(systems):
        for system, groups in systems.items():
            if group not in groups:
                continue
            subsets = groups[group]
            whole, cer, wer = subsets["all"], subsets["all"]["cer"], subsets["all"]["wer"]
            shares = [cer["deviation"], cer["worst_mean"], cer["utterance_mean"]]
            shares += [
                subsets[s]["cer"]["macro"] if s in subsets else None
                for s in ("words", "sentences", "unleaked")
            ]
            rows.append(
                [
                    Cell(group_label(group)),
                    Cell(system),
                    number(len(whole["languages"]), str(len(whole["languages"]))),
                    number(whole["clades"], str(whole["clades"])),
                    Cell(percent(cer["macro"]), cer["macro"], span(cer["interval"])),
                    *(number(share, percent(share)) for share in shares),
                    Cell(percent(wer["macro"]), wer["macro"], span(wer["interval"])),
                ]
            )
    return Sheet(
        f"Macro means per group ({spelling})",
        columns,
        rows,
        "Each language counts once. Small: 95 % interval, clades drawn with replacement and utterances "
        "within; none for a single clade. Worst 5: mean of the five worst languages. Utt. mean: mean of "
        "the utterances' own rates (ML-SUPERB 2.0). Words, sentences, unleaked: "
        f"{rate} on those utterances.",
    )


def comparison_sheet(part: Part, spelling: str, first: str) -> Sheet | None:
    """``first`` minus each other system, or None if it was compared with none."""
    rate, wrong = part.rate_name("cer", spelling), part.rate_name("wer", spelling)
    columns = [
        Column("minus"), Column("group"), Column("lang.", True), Column("clades", True),
        Column(f"{rate}, points", True), Column("p", True), Column("least p", True),
        Column("detectable", True), Column("unleaked", True), Column(f"{wrong}, points", True),
    ]  # fmt: skip
    found = [(row, 1) for row in part.results["comparisons"][spelling] if row["a"] == first]
    found += [(row, -1) for row in part.results["comparisons"][spelling] if row["b"] == first]
    unleaked = {
        (row["a"], row["b"], row["group"]): row["cer"]["mean"]
        for row, _ in found
        if row["subset"] == "unleaked"
    }
    order = group_names(part.results["groups"][spelling])
    others = list(part.systems)
    found = sorted(
        ((row, sign) for row, sign in found if row["subset"] == "all"),
        key=lambda item: (
            others.index(item[0]["b" if item[1] > 0 else "a"]),
            order.index(item[0]["group"]),
        ),
    )
    rows = []
    for row, sign in found:
        cer, wer = row["cer"], row["wer"]
        clean = unleaked.get((row["a"], row["b"], row["group"]))
        rows.append(
            [
                Cell(row["b"] if sign > 0 else row["a"]),
                Cell(group_label(row["group"])),
                number(cer["languages"], str(cer["languages"])),
                number(cer["clusters"], str(cer["clusters"])),
                _points(cer["mean"], cer["interval"], sign),
                number(cer["p"], "–" if cer["p"] is None else f"{cer['p']:.2g}"),
                number(cer["smallest_p"], "–" if cer["p"] is None else f"{cer['smallest_p']:.2g}"),
                number(cer["detectable"], percent(cer["detectable"])),
                _points(clean, None, sign) if clean is not None else Cell("–"),
                _points(wer["mean"], wer["interval"], sign),
            ]
        )
    if not rows:
        return None
    return Sheet(
        f"{first} minus another system, same utterances ({spelling})",
        columns,
        rows,
        f"Points of macro error rate; below 0: {first} makes fewer errors. p: two-sided sign-flip test "
        "over clades; least p: the smallest that so few clades can give. Detectable: the true difference "
        "found with 80 % power. Not corrected for the number of comparisons."
        + _dev_note(part.results["settings"]["dev_languages"]),
    )


def group_label(name: str) -> str:
    """A group's name in words."""
    return GROUP_LABELS.get(name, name.removeprefix("script:"))


def group_names(systems: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """All groups: by standing to the training first, scripts last."""
    found = {group for groups in systems.values() for group in groups}
    return [name for name in GROUP_LABELS if name in found] + sorted(found - GROUP_LABELS.keys())


def _far_first(part: Part, language: str, spelling: str) -> tuple[int, float]:
    group = part.group_of(language)
    score = part.score(part.systems[0], language, spelling)
    place = TRAINING_GROUPS.index(group) if group else 0
    return -place, score["cer"]["rate"] if score else 0.0


def _points(mean: float, interval: list[float] | None, sign: int) -> Cell:
    ends = sorted(sign * end for end in interval) if interval else None
    return Cell(percent(sign * mean, signed=True), sign * mean, span(ends, signed=True))


def _known(part: Part, language: str) -> str:
    for system in part.systems:
        groups = part.results["groups"][part.spellings[0]][system]
        for answer, group in (("yes", "backbone:known"), ("no", "backbone:unknown")):
            if language in groups.get(group, {}).get("all", {}).get("languages", ()):
                return answer
    return "–"


def _dev_note(languages: list[str]) -> str:
    return f" Without the development languages ({' '.join(languages)})." if languages else ""
