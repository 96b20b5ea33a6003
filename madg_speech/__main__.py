"""``python -m madg_speech``: the command line without its script on the PATH."""

from madg_speech.cli import main

main()
