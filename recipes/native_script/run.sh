#!/usr/bin/env bash
# From recordings and plain text to the table of docs/native-script.md. Killed, it goes on at the next language.
#   MADG_DATA    folder with speech/<iso>/{train,test}.jsonl and text/mlm/<iso>.txt
#   WORK         folder for lexicons, models and results (runs/native_script)
# Arguments are passed on: --langs mal yor, --limit 10 ...
set -euo pipefail
: "${MADG_DATA:?folder with speech/<iso>/test.jsonl and text/mlm/<iso>.txt}"
python "$(dirname "$0")/native_script.py" --data "$MADG_DATA" --work "${WORK:-runs/native_script}" \
  --table docs/native-script.md "$@"
