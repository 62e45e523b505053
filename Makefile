# Two commands matter: `make reproduce` and `make test`. Both make the environment if it is missing.
PROFILE ?= laptop
STUDY ?=
DEVICE ?= auto
JOBS ?= 1
FORCE ?=
P ?=
PARAMETERS ?=
ONLY ?=
CHECK ?=

# Whatever else the command line sets is a slip, unless it is a setting of other programs.
SETTINGS := PROFILE STUDY DEVICE JOBS FORCE P PARAMETERS ONLY CHECK
OTHERS := PYTHON RUN READY CC CXX CFLAGS CXXFLAGS LDFLAGS SHELL PATH HOME TMPDIR LANG \
	CONDA_% CUDA_% MKL_% OMP_% PIP_% TORCH_% MAKE% GNUMAKE% .%
given := $(foreach v,$(.VARIABLES),$(if $(filter command,$(origin $v)),$v))
unknown := $(filter-out $(SETTINGS) $(OTHERS),$(given))
$(if $(unknown),$(error There is no setting $(firstword $(unknown)); the settings are $(SETTINGS), \
	and a parameter of a notebook goes into P, as in P="seed=7"))

# These values go to the programs through the environment and are not expanded on the way: neither
# make nor the shell reads them as commands.
$(foreach v,$(SETTINGS),$(eval override $(v) := $$(value $(v))))
export PROFILE STUDY DEVICE JOBS P PARAMETERS ONLY

# Idle threads of torch give their core to others (see spinlib/__init__.py).
export OMP_WAIT_POLICY ?= passive

# The first Python that is new enough; the pins were made with 3.11.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

# In the conda environment of environment.yml everything is there already; otherwise use .venv.
ifeq ($(CONDA_DEFAULT_ENV),spinlib)
RUN := $(PYTHON)
READY := tools
else
RUN := .venv/bin/python
READY := .venv/ready
endif

REQUEST = --profile="$$PROFILE" --study="$$STUDY" --device="$$DEVICE" --jobs="$$JOBS" \
	$(if $(filter-out 0 no,$(FORCE)),--force) --changes="$$P" $(if $(PARAMETERS),--parameters="$$PARAMETERS")

.DEFAULT_GOAL := help
.PHONY: help env tools request reproduce test lab bench lint sync report clean
.NOTPARALLEL:

help: ## Show these lines
	@awk -F ':[^#]*## ' '/^[a-z]+:[^#]*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(READY) ## Make the environment: .venv with the pins of requirements.txt, and CuPy if there is a GPU

reproduce: request $(READY) ## Run the studies into figures/ (PROFILE=laptop|smoke|paper STUDY=01…04 DEVICE=auto|cpu|cuda JOBS=studies at a time, on a GPU or many cores FORCE=1 P='name=value …' PARAMETERS=file.yaml)
	@"$(RUN)" -m spinlib.reproduce $(REQUEST)

test: $(READY) ## Run all that CI runs: lint, unit tests, notebook pairs, every study at the smoke profile
	@$(MAKE) --no-print-directory lint
	@"$(RUN)" -m pytest
	@$(MAKE) --no-print-directory sync CHECK=1
	@"$(RUN)" -m spinlib.reproduce --profile smoke

lab: $(READY) ## Open the notebooks in JupyterLab, on their index
	@"$(RUN)" -m jupyterlab --notebook-dir=. --LabApp.default_url=/lab/tree/notebooks/index.ipynb

bench: $(READY) ## Measure the kernels into figures/bench.json (ONLY=pattern for some of them, DEVICE=cpu or cuda)
	@"$(RUN)" -m spinlib.bench --device="$$DEVICE" $(if $(ONLY),--only="$$ONLY")

lint: $(READY) ## Check format and style
	@"$(RUN)" -m ruff format --check -q . || { test $$? -ne 1 || echo "Some files are not formatted: run '$(RUN) -m ruff format .'"; exit 1; }
	@"$(RUN)" -m ruff check -q .

sync: $(READY) ## Build each notebook's .ipynb from its .py, with the newest laptop outputs (CHECK=1 only checks)
	@"$(RUN)" -m spinlib.notebooks $(if $(filter-out 0 no,$(CHECK)),--check)

report: $(READY) ## Write figures/report.html and the README's scoreboard from the results
	@"$(RUN)" -m spinlib.report

clean: ## Remove .venv, caches, and what the smoke profile and failed runs left; results stay
	@rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis figures/smoke figures/report.html
	@rm -rf $(foreach each,*/.*.part */*.failed,figures/$(each) figures/changed/$(each))
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A request that cannot be carried out is refused before anything is installed or written.
request: tools
	@PYTHONDONTWRITEBYTECODE=1 "$(PYTHON)" -m spinlib.reproduce --check $(REQUEST)

tools:
	@test -n '$(PYTHON)' || { echo "Python 3.11 or newer was not found; install it (Debian: apt install python3 python3-venv; conda: conda install python=3.11)." >&2; exit 2; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module was not found; install it (Debian: apt install python3-venv; conda: conda install python=3.11)." >&2; exit 2; }
	@for c in $$CXX c++ g++ clang++; do command -v $$c >/dev/null && exit 0; done; echo "No C++ compiler was found; install one (Debian: apt install g++; conda: conda install cxx-compiler)." >&2; exit 2

.venv/ready: requirements.txt pyproject.toml | tools
	@echo "Making the environment in .venv (some minutes; torch alone is large)"
	@test -x .venv/bin/python || "$(PYTHON)" -m venv .venv
	@.venv/bin/python -m pip install -q --prefer-binary -r requirements.txt
	@.venv/bin/python -m pip install -q --no-deps --no-build-isolation -e .
	@if nvidia-smi -L >/dev/null 2>&1; then .venv/bin/python -m pip install -q --prefer-binary --no-build-isolation -c requirements.txt -e '.[gpu]'; fi
	@touch $@
