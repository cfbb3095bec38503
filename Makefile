# `make` says what there is. Needs make and Python 3.11 or newer with venv; everything else goes into $(VENV).

PYTHON  ?= python3
VENV    ?= .venv
ROOM    ?= room# of a class: its students' files, and what they hand in
WORKERS ?= 3# test processes: one more than cores, as tests of live runs mostly wait

BIN := $(VENV)/bin
# `make wheelhouse` packs a folder of wheels into a copy of the project: where there is one, nothing is fetched.
OFFLINE := $(if $(wildcard wheelhouse),--no-index --find-links wheelhouse)
PIP = $(BIN)/python -m pip --disable-pip-version-check install $(OFFLINE) -c requirements.lock --progress-bar off
# worksteal: each process begins somewhere else in the list, so those that compute and those that wait mix.
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
# Hundreds of processes that tests start would each compile lbkit anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help lab test check compiled static notebooks labs nbgrader lite test-lite classroom test-classroom classroom-environment image bench architecture contents claims monitoring pictures looks site release wheelhouse lock clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

lab: $(VENV)/lab.stamp ## Open JupyterLab on copies of the notebooks
	@# Nobody has to wait for the compiler: kernels that start before it ends run the same sources, readable.
	@nice -n 19 $(BIN)/python -m native --if-possible & exec $(BIN)/lbkit lab

test: static ## Everything: style, types, layers, tests, notebooks
	@$(BIN)/python -m native --if-possible
	$(PYTEST) -m "not browser and not container and not notebook and not release" tests
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory lite; \
	  else echo "lbkit: no npm, so the browser-only edition is not built and its tests are skipped"; fi
	$(BIN)/python -m pytest -m browser tests/browser # one process: they share a page
	$(BIN)/python -m pytest -m container tests/live # by themselves: they use all cores
	@$(MAKE) --no-print-directory notebooks nbgrader
	$(VENV)-course/bin/python -m pytest -n 2 --dist worksteal --reruns 1 --reruns-delay 2 -rR labs/tests
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory test-classroom; \
	  else echo "lbkit: no npm, so the classroom's tests are skipped"; fi

check: static ## The fast part: style, types, layers, tests of core and sim
	$(PYTEST) tests/core tests/sim

compiled: $(VENV)/dev.stamp ## Compile the modules that take the time (needs a C compiler); LBKIT_PURE=1 runs without
	@$(BIN)/python -m native

static: $(VENV)/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

notebooks: $(VENV)/dev.stamp ## Run every notebook, as on machines that have more or less; break its claims
	@# no more processes than cores: live cells compare latencies
	$(BIN)/python -m pytest -n 2 --dist worksteal -m notebook tests/notebooks tests/viz/test_broken_algorithm.py

labs: nbgrader ## Make the learners' copies of the labs anew (NBGRADER=folder: a course for nbgrader)
	$(VENV)-course/bin/python labs/build.py $(if $(NBGRADER),--nbgrader $(NBGRADER))

nbgrader: # in an environment of its own: it adds to JupyterLab what learners do not need
	@$(MAKE) --no-print-directory VENV=$(VENV)-course $(VENV)-course/course.stamp

lite: ## Build the browser-only edition, a folder for any web server (needs npm): dist/lite
	@$(MAKE) --no-print-directory VENV=$(VENV)-lite $(VENV)-lite/lite.stamp
	@$(VENV)-lite/bin/python -m lite --to dist/lite

test-lite: $(VENV)/dev.stamp lite ## Build the browser-only edition and try it in Chromium, as `make test` does
	$(BIN)/python -m pytest -s tests/browser/test_lite.py

classroom: classroom-environment ## A JupyterHub for a class on this machine (needs npm); its files are in ROOM=room
	@LBKIT_ROOM=$(ROOM) $(VENV)-classroom/bin/python -m jupyterhub -f classroom/jupyterhub_config.py

test-classroom: classroom-environment
	$(VENV)-classroom/bin/python -m pytest -s classroom/tests

classroom-environment: # its JupyterHub is in an environment of its own
	@command -v npm >/dev/null \
	  || { echo "lbkit: a classroom needs npm: apt-get install npm (macOS: brew install node)"; exit 1; }
	@$(MAKE) --no-print-directory VENV=$(VENV)-classroom $(VENV)-classroom/classroom.stamp

.PHONY: slides timings
slides: $(VENV)/dev.stamp ## Make the decks, a file of HTML each: dist/slides
	$(BIN)/lbkit slides --to dist/slides

timings: $(VENV)/dev.stamp ## Measure how long notebooks and labs take here, and make the timetables of it
	$(BIN)/python -m docs.timings
	$(BIN)/python -m docs.timetables

site: $(VENV)/dev.stamp ## Build the documentation site: dist/site (RUN=--run executes the notebooks)
	$(BIN)/python docs/make_site.py $(RUN)

release: $(VENV)/dev.stamp ## Build the wheel and the source archive into dist/release; try them in new environments
	rm -rf dist/release
	$(BIN)/python -m build --no-isolation --outdir dist/release
	$(PYTEST) -m release tests/release

wheelhouse: $(BIN)/python ## Pack all for a room without internet: dist/lbkit-offline.tar.gz (FOR: for other computers)
	@rm -rf dist/offline && mkdir -p dist/offline/lbkit
	git archive HEAD | tar -x -C dist/offline/lbkit
	@# FOR='--platform manylinux_2_28_aarch64 --python-version 3.12 --only-binary=:all:', and pip only downloads what
	@# fits there; it evaluates markers for this system, so macOS and Windows have to be packed on one of their own.
	$(BIN)/python -m pip $(if $(FOR),download $(FOR) -d,wheel -w) dist/offline/lbkit/wheelhouse -q -c requirements.lock \
	  '.[all,compile]' hatchling editables # the last two: pip builds lbkit itself in an environment of its own
	tar -czf dist/lbkit-offline.tar.gz -C dist/offline lbkit
	@echo "lbkit: on the other computers: tar -xf lbkit-offline.tar.gz && cd lbkit && make lab"

image: $(VENV)/dev.stamp ## Build the image for containers (BASE_IMAGE: where no registry is in reach)
	$(BIN)/python -c "from lbkit.live import build_image; print(build_image(base='$(BASE_IMAGE)' or None))"

bench: $(VENV)/dev.stamp ## Run the benchmarks, which print ratios
	@for name in proxy metrics sim pick limit drills agreement; do \
	  echo "== $$name"; $(BIN)/python -m benchmarks.$$name || exit 1; done

architecture: $(VENV)/dev.stamp ## Redraw the diagrams of docs/architecture.md from the imports
	$(BIN)/python docs/architecture.py

contents: $(VENV)/dev.stamp ## Write the tables of notebooks anew, in README and in the index
	$(BIN)/python docs/contents.py

claims: $(VENV)/dev.stamp ## Write docs/claims.md anew, the table of all claims and what breaks each
	$(BIN)/python docs/claims.py

monitoring: $(VENV)/dev.stamp ## Write what the containers' profile `monitoring` mounts: rules, dashboards
	$(BIN)/python docker/monitoring.py

pictures: $(VENV)/dev.stamp ## Make the pictures of README anew (needs Chromium)
	$(BIN)/python docs/pictures.py

looks: $(VENV)/dev.stamp ## Keep pictures of the theatre's scenes anew, after a change that is meant to be seen
	PYTHONPATH=tests:. $(BIN)/python -m browser.looks $(SCENES)

lock: ## Pin anew what the newest allowed packages are, on the oldest Python
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo "make lock needs Python 3.11, so that every pin installs there: make lock PYTHON=python3.11"; exit 1; }
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install -qq -e '.[dev,lite,course,classroom]' # one version of each for all environments
	.venv-lock/bin/python -m pip freeze --exclude-editable > requirements.lock
	rm -rf .venv-lock

clean: ## Remove the environment and all caches
	rm -rf .venv* build dist lbkit/_compiled .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
	find . -name .ipynb_checkpoints -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "lbkit needs Python 3.11 or newer, and $(PYTHON) is not: try make PYTHON=python3.13 ..."; exit 1; }
	@echo "lbkit: making an environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

comma := ,# a comma itself would end an argument of `call`

# One line for pip's many; a failure of pip leaves a file, as its exit code is lost in the pipe.
define install
@echo "lbkit: installing what lbkit uses into $(VENV): once, in a minute or more"
@rm -f $@.failed; { $(PIP) -e '$(1)' || touch $@.failed; } | awk \
  '/^Collecting / { printf "\r\033[K  collecting %s", $$2; fflush() } \
   /^Installing collected / { printf "\r\033[K  installing ..."; fflush() } \
   END { print "" }'
@if [ -e $@.failed ]; then rm -f $@.failed; echo "lbkit: pip failed, as it says above" >&2; exit 1; fi
endef

$(VENV)/lab.stamp: pyproject.toml requirements.lock | $(BIN)/python
	$(call install,.[all$(comma)compile])
	@touch $@

$(VENV)/course.stamp: pyproject.toml requirements.lock | $(BIN)/python
	$(call install,.[course])
	@touch $@

# The newest proxy needs a newer Node than many systems have.
$(VENV)/classroom.stamp: pyproject.toml requirements.lock | $(BIN)/python
	$(call install,.[classroom])
	@npm install --prefix $(VENV) --no-fund --no-audit --silent configurable-http-proxy@4.6.3
	@touch $@

$(VENV)/lite.stamp: pyproject.toml requirements.lock | $(BIN)/python
	$(call install,.[lite])
	@touch $@

$(VENV)/dev.stamp: pyproject.toml requirements.lock | $(BIN)/python
	$(call install,.[dev])
	@$(BIN)/python -m native --if-possible
	@touch $@ $(VENV)/lab.stamp
