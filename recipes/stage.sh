# For `source`: stage RUN CONFIG trains, goes on with a run that was killed, leaves a finished one alone.
stage() {
  if [ -d "$1/checkpoint" ]; then
    echo "$1 is finished" >&2
  elif [ -d "$1" ]; then
    madg-speech pretrain --config "$2" --resume
  else
    madg-speech pretrain --config "$2"
  fi
}
