PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed

.PHONY: leaderboard test docs clean

leaderboard: $(INSTALLED)
	$(VENV)/bin/qfl leaderboard --quick

test: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/pytest -q -n 2

docs: $(INSTALLED)
	$(VENV)/bin/python docs/generate.py

clean:
	rm -rf $(VENV)

# torch comes first and by its exact version: a range may be answered with a build for another machine
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 -c constraints.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt --editable ".[dev]"
	touch $@
