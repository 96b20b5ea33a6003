#!/usr/bin/env bash
# One V from speech and text: both static stages, the joint one, and its two controls.
# Usage: MADG_DATA=folder-of-manifests MADG_TEXT=folder-of-<language>.txt recipes/joint/run.sh [WORK] [STAGE...]
# (default: work/joint, all). Each stage is a cell of its own; one that was killed goes on where it stopped.
set -euo pipefail
: "${MADG_DATA:?folder with train.jsonl and dev.jsonl}" "${MADG_TEXT:?folder with <language>.txt, a sentence a line}"
recipe=$(realpath "$(dirname "$0")") work=${1:-work/joint}
MADG_DATA=$(realpath "$MADG_DATA") MADG_TEXT=$(realpath "$MADG_TEXT")
export MADG_DATA MADG_TEXT
shift $(($# < 1 ? $# : 1))
mkdir -p "$work"
cd "$work"
source "$recipe/../stage.sh"
[ $# -gt 0 ] || set -- speech_static text_static speech_alone joint shuffled
for name in "$@"; do
  stage "${name//_/-}" "$recipe/$name.yaml"
done
