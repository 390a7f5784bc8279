# `make run` and `make test` are all that most people need; `make help` lists the rest.

PYTHON ?= python3
# The oldest Python that is served: what only it needs does no harm on a newer one.
LOCK_PYTHON ?= python3.11
VENV := .venv
LOCK := .requirements/lock.txt
# What the image is made from: the same pins, of the `agent` extra alone.
IMAGE_LOCK := .requirements/agent.txt
INSTALLED := $(VENV)/.installed
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --progress-bar off

# Standard output is the program's own: everything else goes to stderr. GNU make before 4.4 announces its
# directory under `make -C` before it has read this line; add -s there.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help install run test crash lint bench docs image lock clean

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST))

install: $(INSTALLED) ## put Roost and its pinned dependencies into .venv
	@:

run: $(INSTALLED) ## start Roost and talk to it in this terminal
	@exec $(VENV)/bin/roost run

test: $(INSTALLED) ## run the tests, several at once (WORKERS=)
	@# A socket's path has 107 characters at most, and each worker's own folder takes some of them.
	@place=$$(mktemp -d "$${TMPDIR:-/tmp}/rt.XXXX") && \
		$(VENV)/bin/python -m pytest -n $(or $(WORKERS),auto) --dist worksteal --basetemp="$$place" && rm -rf "$$place"

crash: $(INSTALLED) ## kill it at every step and judge what is left (SEED=, ROUNDS=, POINT=, DISCORD=1, SLACK=1, SOAK=1, KEEP=1)
	@$(VENV)/bin/python -m tests.crash $(if $(SEED),--seed $(SEED)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(POINT),--point $(POINT)) $(if $(DISCORD),--discord) $(if $(SLACK),--slack) $(if $(SOAK),--soak) $(if $(KEEP),--keep)

lint: $(INSTALLED) ## check style and types
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

bench: $(INSTALLED) ## measure how fast it is
	@exec $(VENV)/bin/python -m tests.bench

docs: $(INSTALLED) ## write docs/commands.md from the commands
	@$(VENV)/bin/python -m bot.commands >docs/commands.md.new && mv docs/commands.md.new docs/commands.md

image: $(INSTALLED) ## build the image that agents run in
	@exec $(VENV)/bin/roost image build

$(INSTALLED): $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' </dev/null >&2 || { \
		echo "Roost needs Python 3.11 or newer, and $(PYTHON) is not; say which to use: make PYTHON=python3.12" >&2; \
		exit 1; }
	@echo "Installing Roost into $(VENV) ..." >&2
	@$(PYTHON) -m venv $(VENV) </dev/null >&2 || { \
		echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; \
		exit 1; }
	@PIP_ROOT_USER_ACTION=ignore $(PIP) --require-hashes -r $(LOCK) </dev/null >&2
	@PIP_ROOT_USER_ACTION=ignore $(PIP) --no-deps --no-build-isolation -e . </dev/null >&2
	@touch $@

lock: ## pin every dependency again, with hashes
	@set -e; tools=$$(mktemp -d); trap 'rm -rf "$$tools"' EXIT; \
	$(LOCK_PYTHON) -m venv "$$tools" </dev/null >&2; \
	"$$tools/bin/pip" install --quiet --disable-pip-version-check pip-tools==7.6.2 </dev/null >&2; \
	compile() { "$$tools/bin/pip-compile" --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options "$$@" pyproject.toml \
		</dev/null >&2; }; \
	compile --upgrade --extra host --extra agent --extra dev --output-file $(LOCK); \
	cp $(LOCK) $(IMAGE_LOCK); \
	compile --extra agent --output-file $(IMAGE_LOCK)

clean: ## remove .venv and whatever the tools left behind; data/ stays
	@rm -rf $(VENV) build dist ./*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
