"""A fold's test sentences for a report: python recipes/zero_shot_study/sample.py FOLD_FOLDER [PER_LANGUAGE]

Writes ``sample.jsonl`` beside ``test.jsonl``: the first PER_LANGUAGE (10) utterances of each language of
the primary set; in fold a also of Greek, Finnish and Turkish, development languages, by which a mode of
plain Whisper is chosen.
"""

import json
import sys
from collections import Counter
from pathlib import Path

from madg_speech.data.manifest import read_manifest, write_manifest

CHOOSE_BY = ("ell", "fin", "tur")


def main(folder: Path, most: int) -> None:
    """Write the sample."""
    sets = json.loads((folder / "fold.json").read_text("utf-8"))["sets"]
    primary = {
        row_id
        for entry in sets["test"].values()
        for row_id, is_primary in zip(entry["ids"], entry["primary"], strict=True)
        if is_primary
    }
    kept = [u for u in read_manifest(folder / "test.jsonl") if u.id in primary]
    if folder.name == "a":
        kept += [u for u in read_manifest(folder / "dev.jsonl") if u.lang in CHOOSE_BY]
    taken: Counter[str] = Counter()
    rows = []
    for utterance in kept:
        taken[utterance.lang] += 1
        if taken[utterance.lang] <= most and utterance.seconds <= 30:
            rows.append(utterance)
    write_manifest(folder / "sample.jsonl", rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10)
