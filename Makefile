# make test: everything CI runs.   make demo: hear a language that was never trained on.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: install test lint demo

$(BIN)/.installed: EXTRA = dev
$(BIN)/.demo: EXTRA = espeak
$(BIN)/.installed $(BIN)/.demo: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -e ".[$(EXTRA)]"
	touch $@

install: $(BIN)/.installed

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest

# make demo AUDIO=talk.wav SPOKEN=swh transcribes a recording of your own.
demo: $(BIN)/.demo
	$(BIN)/madg-speech demo $(if $(AUDIO),"$(AUDIO)") $(if $(SPOKEN),--lang "$(SPOKEN)")
