#!/usr/bin/env bash
# Language adapters from text: the two stages, the controls, and the published forms.
# Usage: MADG_TEXT=folder-of-<language>.txt recipes/mlm/run.sh [WORK] [STAGE...]   (default: work/mlm, all)
# Each stage is a cell of its own; one that was killed goes on where it stopped.
set -euo pipefail
: "${MADG_TEXT:?folder with <language>.txt, a sentence a line}"
recipe=$(realpath "$(dirname "$0")") work=${1:-work/mlm}
MADG_TEXT=$(realpath "$MADG_TEXT")
export MADG_TEXT
shift $(($# < 1 ? $# : 1))
mkdir -p "$work"
cd "$work"
source "$recipe/../stage.sh"
[ $# -gt 0 ] || set -- static two_stage shuffled static_long per_language madg_ls random madg
for name in "$@"; do
  stage "${name//_/-}" "$recipe/$name.yaml"
done
