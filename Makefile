# Where the Padding Goes. `make help` lists the targets. Needed: Python 3.11 or newer (with venv) and make.
#
# Everything is installed into .venv, in two steps, so that a reader who only wants the book waits for less:
#   .stamp-book  what builds the site from the stored outputs: Jupyter Book, no torch
#   .stamp-full  torch, groot_teach, Jupyter, the tests
# and, for whoever asks for it,
#   .stamp-upstream  LeRobot's policies, pytest-torch and pangolinn, which tests/upstream and the auditor's trial run
# A stamp is remade when the file that lists its packages changes. All versions come from constraints.txt.

SHELL := bash -o pipefail
PYTHON ?= python3

# TORCH=2.6.0 or TORCH=latest tries another torch, in an environment of its own, as the weekly workflow does.
TORCH ?=
# Where to build from: a LeRobot dataset folder for `make book`; which episode, groups and padded width of it.
DATA ?=
EPISODE ?=
GROUPS ?=
PADDED_DIM ?=
EDITION = --data "$(DATA)" $(if $(EPISODE),--episode "$(EPISODE)") $(if $(GROUPS),--groups "$(GROUPS)") \
  $(if $(PADDED_DIM),--padded-dim "$(PADDED_DIM)")

VENV := .venv$(if $(TORCH),-torch-$(TORCH))
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CONSTRAINTS := $(if $(TORCH),$(VENV)/constraints.txt,constraints.txt)

# Jupyter's own notices about where it keeps its files and about its debugger are of no use here.
export JUPYTER_PLATFORM_DIRS := 1
export PYDEVD_DISABLE_FILE_VALIDATION := 1

# pip says much: here, one dot for each package that it finds. Errors go to stderr and pass as they are.
DOTS := awk '/^(Collecting|Processing) / { printf "."; fflush() } /^Installing/ { printf " unpacking ..."; fflush() } END { print " done" }'
# Exercises solved by the reader must show neither in a stored output nor in a test: a fresh progress file.
# Nor must the reader's robot: `make book DATA=...` and `make lab` are the ways to it.
FRESH := unset GROOT_TEACH_DATA GROOT_TEACH_EPISODE GROOT_TEACH_GROUPS GROOT_TEACH_PADDED_DIM && \
  fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && \
  export GROOT_TEACH_PROGRESS="$$fresh/progress.json" &&

# One test process for each core, and one thread in each: more threads would only wait for each other.
PARALLEL := OMP_NUM_THREADS=1
# Of some tests that take long `make test` asks one case in several, and CASES=all, as in CI, asks all of them.
CASES ?=
FEW := $(if $(CASES),$(if $(filter-out all,$(CASES)),$(error CASES: got $(CASES), expected all or nothing)),--few-cases)
# The tests of the ideas, of the widgets and of the arrows between the parts.
QUICK := $(wildcard tests/test_*.py) tests/show

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup book pdf check test unit nbval upstream notebooks experiments mutants retrain bench serve lab lint format lock clean

help:  ## this list
	@echo "Where the Padding Goes"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  make book DATA=<LeRobot dataset folder>   chapter 1 on your own robot, beside the default book;"
	@echo "    EPISODE=4 GROUPS=right_arm,right_hand PADDED_DIM=64   which part of it, and how wide"
	@echo "  make PYTHON=python3.12 ...                another Python, 3.11 or newer (after make clean)"
	@echo "  make TORCH=2.6.0 ... or TORCH=latest      another torch, in an environment of its own"

setup: $(VENV)/.stamp-full  ## install everything: torch, groot_teach, Jupyter, the tests

# The default book needs no torch; an edition runs chapter 1 and does. BOOK_SITE_URL=https://... says where it will be
# published, for the sitemap and for links between pages and search engines.
book: $(VENV)/$(if $(DATA),.stamp-full,.stamp-book)  ## build the site to _build/html
	@$(BIN)/python tools/build_book.py $(if $(DATA),$(EDITION))

pdf: $(VENV)/.stamp-full  ## print the whole book to _build/book.pdf, with Chromium; the site then offers it
	@PYTHONPATH=. $(BIN)/python tools/print_book.py

test: book unit nbval  ## everything: site, unit and page tests, every stored output (CASES=all: as long as in CI)

# `make test` builds the book first, since the page tests open it; alone, `make unit` tests the book that is there.
unit: $(VENV)/.stamp-full  ## only the tests in tests/
	@$(FRESH) $(PARALLEL) $(BIN)/python -m pytest tests -p no:nbval -n auto --dist loadgroup $(FEW)

# Strict: every stored output is compared with what the code gives now.
nbval: $(VENV)/.stamp-full  ## only the stored outputs of the notebooks
	@$(FRESH) $(PARALLEL) $(BIN)/python -m pytest --nbval --nbval-current-env --nbval-cell-timeout=120 -n auto --dist loadfile notebooks

# What changes most often is asked first: the style, and the tests that take less than a second each.
check: lint  ## the quick loop while you work, under a minute: style, types, and the quick tests
	@$(FRESH) $(PARALLEL) $(BIN)/python -m pytest $(QUICK) -n auto

# Without it the tests in tests/upstream skip and say so; with CI=true a skip fails.
upstream: $(VENV)/.stamp-upstream  ## install LeRobot's policies, so that `make test` holds our head against theirs, and audits them

notebooks: $(VENV)/.stamp-full  ## run all notebooks in place, normalise them, redraw the pictures of prose pages
	@$(BIN)/python tools/run_notebooks.py
	@$(BIN)/python tools/draw_figures.py

# A run that was stopped goes on where it was. DATA=<the GR1 demo folder> also trains on that recording.
RESULTS := groot_teach/training/results
experiments: $(VENV)/.stamp-full  ## train the heads of chapter 8 again (half an hour on two cores) and store what came of it
	@OMP_NUM_THREADS=1 $(BIN)/python -m groot_teach.training.run --out $(RESULTS)/dropped_masks.json
	@$(if $(DATA),OMP_NUM_THREADS=1 $(BIN)/python -m groot_teach.training.recorded "$(DATA)" --groups right_arm \
	  --out $(RESULTS)/gr1_right_arm.json)

# Neither is a part of `make test`, they take too long: the weekly workflow runs both. MODULES="..." breaks some modules
# only, and PART=2/8 makes the second of eight parts of the changes.
MODULES ?= $(addprefix groot_teach/,loss.py padding.py masks.py attention.py checks.py shapes.py) $(wildcard groot_teach/audit/*.py)
mutants: $(VENV)/.stamp-upstream  ## break the masks' ideas and the auditor on purpose, and see that a test notices (hours)
	@OMP_NUM_THREADS=1 $(BIN)/python -m tools.mutate $(MODULES) $(if $(PART),--part $(PART))

retrain: $(VENV)/.stamp-upstream  ## train some of the stored heads of chapter 8 again to their end, and compare; every test that takes minutes
	@$(FRESH) $(PARALLEL) $(BIN)/python -m pytest tests -m weekly -n auto

bench: book $(VENV)/.stamp-upstream  ## measure page weight, widget latency, ten runs of the stored outputs, speed of the head and of an audit
	@$(BIN)/python -m benchmarks.pages
	@$(BIN)/python -m benchmarks.stored_outputs
	@$(BIN)/python -m benchmarks.action_head
	@$(BIN)/python -m benchmarks.audit

serve: book  ## build, then serve the site on http://127.0.0.1:8000
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html 8000

# Jupyter refuses to run as root unless it is told; in a container, root is who one is.
lab: $(VENV)/.stamp-full  ## open the notebooks in JupyterLab
	$(BIN)/python -m jupyter lab --notebook-dir=notebooks $(if $(filter 0,$(shell id -u)),--allow-root)

CODE := setup.py groot_teach evidence notebooks tests tools benchmarks book/_ext
lint: $(VENV)/.stamp-full  ## style of the code and the notebooks, types, schemas of the configuration
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions .github/actions/*/action.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff

format: $(VENV)/.stamp-full  ## let ruff tidy the code and the notebooks
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

# For maintainers: pins what pyproject.toml newly asks for and leaves the other pins alone
# (to renew them, delete constraints.txt first). A local CPU build's "+cpu" can be installed nowhere else.
lock: $(VENV)/.stamp-full  ## renew constraints.txt after a change in pyproject.toml
	$(PIP) install --quiet -c constraints.txt pip-tools
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/python -m piptools compile --quiet --all-extras --strip-extras \
	  --no-emit-index-url --no-emit-find-links --output-file constraints.txt pyproject.toml
	sed -i.bak -E 's/^(torch==[0-9.]+)\+cpu/\1/' constraints.txt && rm constraints.txt.bak

clean:  ## remove the environments and everything built
	rm -rf .venv .venv-torch-* _build build dist .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Making the environment says why it cannot, where Python would only show a traceback.
$(VENV)/.stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed. Name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# The list is read out of pyproject.toml, since pip installs an extra only together with the package and its torch.
BOOK_EXTRA := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["book"], sep="\n")
$(VENV)/.stamp-book: $(VENV)/.stamp-venv pyproject.toml constraints.txt
	@$(BIN)/python -c '$(BOOK_EXTRA)' > $(VENV)/book.txt
	@echo "Installing what builds the book (about a minute, once): a dot is a package"
	@$(PIP) install -c constraints.txt -r $(VENV)/book.txt | $(DOTS)
	@touch $@

# torch first and alone: asked for through other packages, pip may pick another build of it.
$(VENV)/.stamp-full: $(if $(TORCH),,$(VENV)/.stamp-book) $(VENV)/.stamp-venv $(CONSTRAINTS) pyproject.toml
	@echo "Installing torch (a few minutes, once)"
	@$(PIP) install -c $(CONSTRAINTS) torch
	@echo "Installing groot_teach, Jupyter and the tests (about a minute, once): a dot is a package"
	@$(PIP) install -c $(CONSTRAINTS) -e '.[notebooks,recordings,checkpoints,training,lab,book,test,lint]' | $(DOTS)
	@touch $@

# Each release of LeRobot in a folder of its own, without the packages that it asks for: it would want an older torch.
# So is pytest-torch, a rival of our auditor: installed beside pytest it would load itself into every run.
$(VENV)/.stamp-upstream: $(VENV)/.stamp-full evidence/requirements.txt
	@echo "Installing LeRobot's policies (half a minute, once)"
	@$(PIP) install --quiet -c $(CONSTRAINTS) -r evidence/requirements.txt
	@for release in 0.4.4 0.6.1; do $(PIP) install --quiet --no-deps --ignore-requires-python --upgrade \
	  --target $(VENV)/lerobot-$$release lerobot==$$release || exit 1; done
	@$(PIP) install --quiet --no-deps --upgrade --target $(VENV)/pytest-torch-1.1.1 pytest-torch==1.1.1
	@touch $@

# Another torch brings its own dependencies: their pins go with torch's.
$(VENV)/constraints.txt: constraints.txt $(VENV)/.stamp-venv
	sed -E '/^(torch|sympy|mpmath|networkx|setuptools|filelock|fsspec|typing-extensions)==/d' constraints.txt > $@
	$(if $(filter-out latest,$(TORCH)),echo 'torch==$(TORCH)' >> $@)
