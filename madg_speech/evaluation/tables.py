"""Results as tables for a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from madg_speech.evaluation.spelling import RATES


def print_results(results: dict[str, Any], console: Console) -> None:
    """Print each system's languages and groups, then comparisons, then what went wrong."""
    for script, systems in results["scores"].items():
        for system, scores in systems.items():
            console.print(_languages(results, script, system, scores))
        console.print(_groups(results, script))
        if results["comparisons"][script]:
            console.print(_comparisons(results, script))
    for kind, mode in results["chosen"].items():
        dev = ", ".join(results["settings"]["dev_languages"])
        console.print(f"{kind}: {mode} was chosen on {dev}; compare with that one")
    for line in remarks(results):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _languages(results: dict[str, Any], script: str, system: str, scores: dict[str, Any]) -> Table:
    table = Table(
        title=f"{system} ({script}, {results['settings']['normalizer']})", title_justify="left"
    )
    table.add_column("language")
    table.add_column("group")
    cer, wer = RATES[script]
    for name in ("utt.", "words/sent.", f"{cer} %", "95 %", f"{wer} %"):
        table.add_column(name, justify="right")
    if results["leak_filter"]:
        table.add_column(f"{cer} %, unleaked", justify="right")
    groups = _group_of(results, script, system)
    order = sorted(
        scores, key=lambda name: (groups.get(name, ""), scores[name]["all"]["cer"]["rate"])
    )
    for language in order:
        subsets = scores[language]
        whole = subsets["all"]
        row = [
            f"{language} {results['languages'][language]['name']}",
            groups.get(language, ""),
            str(whole["utterances"]),
            "/".join(
                str(subsets.get(s, {"utterances": 0})["utterances"]) for s in ("words", "sentences")
            ),
            _percent(whole["cer"]["rate"]),
            _interval(whole["cer"]["interval"]),
            _percent(whole["wer"]["rate"]),
        ]
        if results["leak_filter"]:
            clean = subsets.get("unleaked")
            row.append(
                f"{_percent(clean['cer']['rate'])} ({clean['utterances']})"
                if clean
                else "none left"
            )
        table.add_row(*row)
    return table


def _group_of(results: dict[str, Any], script: str, system: str) -> dict[str, str]:
    groups = results["groups"][script][system]
    return {
        language: group
        for group in ("trained", "clade", "family", "unrelated")
        for language in groups.get(group, {}).get("all", {"languages": []})["languages"]
    }


def _groups(results: dict[str, Any], script: str) -> Table:
    table = Table(title=f"Macro means ({script})", title_justify="left")
    table.add_column("system")
    table.add_column("group")
    for name in (
        "lang.",
        f"{RATES[script][0]} %",
        "95 %",
        "sd",
        "worst 5",
        "utt. mean",
        "words",
        "sent.",
        "unleaked",
        f"{RATES[script][1]} %",
    ):
        table.add_column(name, justify="right")
    for system, groups in results["groups"][script].items():
        for group, subsets in groups.items():
            whole = subsets["all"]
            cer = whole["cer"]
            table.add_row(
                system,
                group,
                str(len(whole["languages"])),
                _percent(cer["macro"]),
                _interval(cer["interval"]),
                _percent(cer["deviation"]),
                _percent(cer["worst_mean"]),
                _percent(cer["utterance_mean"]),
                *(_percent(subsets[s]["cer"]["macro"] if s in subsets else None)
                  for s in ("words", "sentences", "unleaked")),
                _percent(whole["wer"]["macro"]),
            )  # fmt: skip
        table.add_section()
    return table


def _comparisons(results: dict[str, Any], script: str) -> Table:
    """The first system against each other one; results.json has every pair."""
    rows = results["comparisons"][script]
    first = rows[0]["a"]
    table = Table(
        title=f"{RATES[script][0]} of {first} minus that of another, in points ({script}; below 0: "
        f"{first} is better)",
        title_justify="left",
    )
    table.add_column("minus")
    table.add_column("group")
    for name in ("lang.", "clades", "points", "95 %", "p", "least p", "detectable", "unleaked"):
        table.add_column(name, justify="right")
    unleaked = {
        (row["b"], row["group"]): 100 * row["cer"]["mean"]
        for row in rows
        if row["a"] == first and row["subset"] == "unleaked"
    }
    for row in rows:
        if row["a"] != first or row["subset"] != "all" or row["group"].startswith("script:"):
            continue
        cer = row["cer"]
        clean = unleaked.get((row["b"], row["group"]))
        table.add_row(
            row["b"],
            row["group"],
            str(cer["languages"]),
            str(cer["clusters"]),
            f"{100 * cer['mean']:+.1f}",
            _interval(cer["interval"]),
            "-" if cer["p"] is None else f"{cer['p']:.2g}",
            "-" if cer["p"] is None else f"{cer['smallest_p']:.2g}",
            _percent(cer["detectable"]),
            "-" if clean is None else f"{clean:+.1f}",
        )
    return table


def remarks(results: dict[str, Any]) -> list[str]:
    """A line for all that a reader of the scores must know: problems, leaks, overlap with training."""
    lines = []
    labels = {
        "missing": "have no hypothesis (scored as empty)",
        "failed": "could not be decoded (scored as empty)",
        "other_language": "name another language than the manifest",
        "extra": "hypotheses belong to no utterance (left out)",
        "repeated": "ids stood there more than once (with the same text)",
    }
    said_of: dict[str, list[str]] = {}
    for system, described in results["systems"].items():
        for key, label in labels.items():
            if ids := described["problems"].get(key):
                said_of.setdefault(f"{len(ids)} {label}: {_some(ids)}", []).append(system)
        if seen := described.get("in_training"):
            said_of.setdefault(f"in its training: {' '.join(seen)}", []).append(system)
        for language, twins in described.get("near_duplicates", {}).items():
            near = ", ".join(f"{iso} ({distance:.3f})" for iso, distance in twins)
            said = f"{language} has a near-duplicate vector in training: {near}"
            said_of.setdefault(said, []).append(system)
    lines += [f"{', '.join(systems)}: {said}" for said, systems in said_of.items()]
    for script, languages in results["problems"]["empty_references"].items():
        for language, ids in languages.items():
            lines.append(
                f"{language}: {len(ids)} references are empty ({script}), not scored: {_some(ids)}"
            )
    if leaks := results["leak_filter"]:
        total = sum(leaks["per_language"].values())
        share = ", ".join(
            f"{name} {count}" for name, count in leaks["per_language"].items() if count
        )
        lines.append(
            f"leak filter: {total} utterances lie within edit distance 1 or 20 % of one of "
            f"{leaks['transcripts']} training transcripts" + (f" ({share})" if share else "")
        )
    else:
        lines.append("leak filter not run: give --train-text with the training manifests")
    return lines


def _some(ids: Any) -> str:
    names = list(ids)
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _interval(interval: list[float] | None) -> str:
    return "-" if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"
