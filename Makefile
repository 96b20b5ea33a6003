# make test: everything CI runs.   make demo: hear a language that was never trained on.   make docs: the site.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: install test lint demo docs

$(BIN)/.installed: EXTRA = dev
$(BIN)/.demo: EXTRA = espeak
$(BIN)/.docs: EXTRA = docs
$(BIN)/.installed $(BIN)/.demo $(BIN)/.docs: pyproject.toml
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

# The site, in build/site. Any server shows it: python3 -m http.server -d build/site (from disk all works but search).
docs: $(BIN)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict -f .mkdocs.yml
