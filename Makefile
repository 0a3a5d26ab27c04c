# Each target sets up what it needs in .venv, from a clean clone with Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint docs hooks clean

demo: $(VENV)/.installed
	$(BIN)/mm-milvus demo

# The tests of the servers mostly wait, so each engine's run in parallel with the others.
test: $(VENV)/.installed-dev
	@$(BIN)/pytest --engine server -k server >$(VENV)/server.log 2>&1 & server=$$!; \
	$(BIN)/pytest --engine container -k container >$(VENV)/container.log 2>&1 & container=$$!; \
	$(BIN)/pytest --engine lite; failed=$$?; \
	wait $$container || failed=1; \
	wait $$server || failed=1; \
	cat $(VENV)/container.log $(VENV)/server.log; \
	exit $$failed

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	git ls-files -z | xargs -0 $(BIN)/codespell
	$(BIN)/python -m scripts.make_cli_reference --check

# Built strictly: a broken link or a name that is not documented is an error.
docs: $(VENV)/.installed-dev
	$(BIN)/zensical build --strict

hooks: $(VENV)/.installed-dev
	$(BIN)/pre-commit install --hook-type pre-commit --hook-type commit-msg

clean:
	rm -rf $(VENV) site

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "mm-milvus needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
