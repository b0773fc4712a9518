# Tellerline. `make` alone lists the targets; `make call` and `make test` are the two that matter.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
ANSIBLE := .venv-ansible
PIP := $(BIN)/python -m pip
PROTOS := $(wildcard src/tellerline/rpc/*.proto)
SCENARIO ?= bank_call
# Recordings of people (digits-8k, orders-8k) and of a room (noise-8k) for `make bench`; they are not shipped.
DATA ?= $(wildcard ../shared/data)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- what people run

.PHONY: call
call: setup models ## set up, start the stack, have the robot call it, and show the conversation
	$(BIN)/tellerline up -- $(BIN)/tellerline call $(SCENARIO)

.PHONY: up
up: setup models ## set up and keep the stack running for a softphone; Ctrl-C stops it
	$(BIN)/tellerline up

.PHONY: doctor
doctor: setup ## check machine, models, ports and devices, and say what to do
	$(BIN)/tellerline doctor

.PHONY: bench
bench: setup models ## measure latency, barge-in, crashes, media, memory and word error rate against their budgets
	$(BIN)/tellerline models take whisper-base
	@test -n "$(DATA)" || echo "NO RECORDINGS of people: make bench DATA=FOLDER measures digit strings and orders too"
	$(BIN)/tellerline bench all $(if $(DATA),--data $(DATA))

.PHONY: test
test: setup-test test-models lint lint-ansible ## run every check: lint, types, unit, integration and call tests
	$(BIN)/python -m pytest -v

# Without TELLERLINE_BUNDLE a bundle is made for them alone, signed with a key of their own; where OpenSIPS' packages come
# from: BUNDLE='--debs FOLDER' (docs/bundle.md).
.PHONY: test-appliance
test-appliance: setup-test test-models ansible | var/machine-hosts var/tests.key ## install on booted Debian hosts, call them and break them; two hours, needs root
	bundle="$${TELLERLINE_BUNDLE:-}"; \
	if [[ -z "$$bundle" ]]; then \
	  $(BIN)/tellerline bundle build --key var/tests.key --out var/test-bundle $(BUNDLE); \
	  bundle=$$(echo var/test-bundle/tellerline-*); \
	fi; \
	TELLERLINE_BUNDLE=$$(realpath "$$bundle") $(BIN)/python -m pytest -v -raP -m appliance tests/appliance

var/tests.key: | var/machine-bundle
	minisign -G -W -f -s $@ -p $(@:.key=.pub)

.PHONY: ansible
ansible: $(ANSIBLE)/.installed ## make Ansible in .venv-ansible, for installing on servers (README.md)

# The builder's secret key (minisign -G), kept outside of the repository, and further options: see docs/bundle.md.
KEY ?= $(TELLERLINE_BUNDLE_KEY)
BUNDLE ?=
.PHONY: bundle
bundle: setup models $(wildcard requirements-ansible.lock) | var/machine-bundle ## make the signed folder servers without internet are installed from: KEY=minisign.key
	@test -n "$(KEY)" || { echo "whose bundle? make bundle KEY=FOLDER/minisign.key (docs/bundle.md)" >&2; exit 1; }
	$(BIN)/tellerline bundle build --key "$(KEY)" $(BUNDLE)

# ---- what developers run

.PHONY: lint
lint: setup-test ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: lint-ansible
lint-ansible: ansible ## ansible-lint over playbooks and roles, profile production
	PATH="$(CURDIR)/$(ANSIBLE)/bin:$$PATH" ansible-lint

.PHONY: proto
proto: setup-test ## generate the message classes from src/tellerline/rpc/*.proto
	$(BIN)/python -m grpc_tools.protoc -I src --python_out=src --pyi_out=src --grpc_python_out=src $(PROTOS)

.PHONY: licences
licences: setup-test ## write docs/licences.md from the installed packages and the models' manifest
	$(BIN)/python scripts/licences.py

.PHONY: lock
lock: ## pin every dependency with its hashes (needs a package index)
	$(PYTHON) -m venv var/lock && var/lock/bin/pip install --quiet uv
	$(call compile,requirements-build.in,requirements-build.lock,)
	$(call compile,pyproject.toml,requirements.lock,)
	$(call compile,pyproject.toml,requirements-test.lock,--extra test)
	$(call compile,requirements-ansible.in,requirements-ansible.lock,)

# No index address is written: every site has its own.
define compile
	var/lock/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --python-version 3.11 --no-annotate --no-header $(3) $(1) -o $(2)
endef

.PHONY: clean
clean: ## remove everything made here but the models
	rm -rf $(VENV) $(ANSIBLE) build .mypy_cache .ruff_cache .pytest_cache src/*.egg-info
	rm -rf var/run var/log var/spool var/phrases var/calls var/lock var/debian var/prometheus var/rsyslog var/machine*

# ---- set-up, step by step; each step leaves a stamp and is done once

.PHONY: setup setup-test models test-models
setup: $(VENV)/.installed
setup-test: $(VENV)/.tested
models: var/models/.taken

# The starter models and what else the tests need, into the store they look in: $TELLERLINE_MODELS, or ./var/models.
test-models: setup
	$(BIN)/tellerline models take --store "$${TELLERLINE_MODELS:-var/models}"
	$(BIN)/tellerline models take --store "$${TELLERLINE_MODELS:-var/models}" vosk-small-ko

var/machine var/machine-test var/machine-bundle var/machine-hosts: var/machine%: scripts/machine
	@mkdir -p var
	PYTHON=$(PYTHON) scripts/machine run $(patsubst -%,%,$*)
	@touch $@

$(VENV)/.tools: requirements-build.lock | var/machine
	@echo "set-up 1 of 4: a virtual environment in $(VENV)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements-build.lock
	@touch $@

$(VENV)/.dependencies: requirements.lock $(VENV)/.tools
	@echo "set-up 2 of 4: locked dependencies, about 400 MB."
	@echo "llama-cpp-python is compiled: about 8 minutes on two cores, the first time only (pip keeps the wheel)."
	$(PIP) install --require-hashes --no-build-isolation -r requirements.lock
	@touch $@

$(VENV)/.installed: pyproject.toml $(VENV)/.dependencies
	@echo "set-up 3 of 4: tellerline itself"
	$(PIP) install --no-deps --no-build-isolation --quiet -e .
	@touch $@

$(VENV)/.tested: requirements-test.lock $(VENV)/.installed | var/machine-test
	@echo "set-up: what the tests need"
	$(PIP) install --require-hashes --no-build-isolation -r requirements-test.lock
	@touch $@

$(ANSIBLE)/.installed: requirements-ansible.lock | var/machine
	@echo "set-up of the control node: Ansible in $(ANSIBLE), about 60 MB"
	test -x $(ANSIBLE)/bin/python || $(PYTHON) -m venv $(ANSIBLE)
	$(ANSIBLE)/bin/python -m pip install --quiet --require-hashes -r requirements-ansible.lock
	@touch $@

var/models/.taken: models/starter.yml $(VENV)/.installed
	@echo "set-up 4 of 4: the starter models, about 350 MB, checked by size and sha256"
	$(BIN)/tellerline models take
	@touch $@
