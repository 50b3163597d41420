PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed
RLLIB := .venv-rllib
RLLIB_INSTALLED := $(RLLIB)/.installed
CONFORMITY := $(addprefix tests/envs/,test_registry.py test_vector_env.py test_pettingzoo_checks.py test_video.py) \
	tests/train/test_sb3_bridge.py
IN_PARALLEL := --no-print-directory --jobs 2
MOBILE_ENV := .venv-mobile-env
MOBILE_ENV_INSTALLED := $(MOBILE_ENV)/.installed
BROWSER_INSTALLED := $(VENV)/.browser-installed

.PHONY: leaderboard test types kernels test-rllib test-cluster test-old-gymnasium test-browser benchmark-mobile-env docs clean

leaderboard: $(INSTALLED)
	$(VENV)/bin/qfl leaderboard --quick

test: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(MAKE) $(IN_PARALLEL) types kernels
	$(VENV)/bin/pytest -q -n 2 --dist worksteal

types: $(INSTALLED)
	$(VENV)/bin/mypy

# once, while types are checked, and not by every process that tests
kernels: $(INSTALLED)
	PYTHONPATH=. $(VENV)/bin/python tests/compile_kernels.py

test-rllib: $(RLLIB_INSTALLED)
	$(MAKE) $(IN_PARALLEL) test-cluster test-old-gymnasium

# the leaderboard on a Ray cluster, which mostly waits for processes to start
test-cluster: $(RLLIB_INSTALLED)
	$(RLLIB)/bin/pytest -q tests/ray_cluster

# RLlib, and what depends on Gymnasium: the one that Ray demands is the oldest that is supported
test-old-gymnasium: $(RLLIB_INSTALLED)
	$(RLLIB)/bin/pytest -q tests/rllib
	$(RLLIB)/bin/pytest -q -m any_gymnasium $(CONFORMITY)

# the page of the leaderboard in a real browser; fails where there is no Chromium (Debian: apt-get install chromium)
test-browser: $(BROWSER_INSTALLED)
	$(VENV)/bin/pytest -q tests/browser

benchmark-mobile-env: $(INSTALLED) $(MOBILE_ENV_INSTALLED)
	$(VENV)/bin/qfl benchmark mobile-env

docs: $(INSTALLED)
	$(VENV)/bin/python docs/generate.py

clean:
	rm -rf $(VENV) $(RLLIB) $(MOBILE_ENV)

# torch comes first and by its exact version: a range may be answered with a build for another machine
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 -c constraints.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt --editable ".[anneal,dev,drift]"
	touch $@

# Playwright drives a browser, and brings none
$(BROWSER_INSTALLED): $(INSTALLED)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt --editable ".[browser]"
	touch $@

# most of Ray is never imported, so that compiling all of it would take longer than the tests save
$(RLLIB_INSTALLED): pyproject.toml constraints-rllib.txt
	$(PYTHON) -m venv $(RLLIB)
	$(RLLIB)/bin/pip install --quiet --disable-pip-version-check --no-compile torch==2.13.0 -c constraints-rllib.txt
	$(RLLIB)/bin/pip install --quiet --disable-pip-version-check --no-compile -c constraints-rllib.txt --editable ".[dev,rllib]"
	touch $@

# an environment of its own, because its pygame and our pygame-ce are the same folder
$(MOBILE_ENV_INSTALLED): constraints.txt
	$(PYTHON) -m venv $(MOBILE_ENV)
	$(MOBILE_ENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt mobile-env
	touch $@
