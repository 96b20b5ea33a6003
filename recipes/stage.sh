# For `source`. stage RUN CONFIG trains, goes on with a run that was killed, leaves a finished one alone.
stage() {
  if [ -d "$1/checkpoint" ]; then
    echo "$1 is finished" >&2
  elif [ -d "$1" ]; then
    madg-speech pretrain --config "$2" --resume
  else
    madg-speech pretrain --config "$2"
  fi
}

# enter_work FOLDER: makes the folder and works there; the fold in $MADG_DATA is found from there, too.
enter_work() {
  : "${MADG_DATA:?folder with train.jsonl, dev.jsonl and test.jsonl}"
  MADG_DATA=$(realpath "$MADG_DATA")
  export MADG_DATA
  mkdir -p "$1"
  cd "$1"
}
