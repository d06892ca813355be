.DEFAULT_GOAL := help
.PHONY: help install demo demo-scan test test-all test-faults bench bench-gpu bench-scan judge recipes weights screenshots lint format clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TURBOSETI := .venv-turboseti

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# The stamp is written last: an install that was cut short is done again, a whole one is never repeated.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "seti needs Python >= 3.11, and $(PYTHON) is older: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[simulate,scan,export,sweep,ray,tune,mlflow,wandb,dev]'
	@touch $@

install: $(INSTALLED) ## Create .venv and install everything into it (about 2 minutes, 6.5 GB)

demo: $(INSTALLED) ## Simulate, train 2 x 5 folds, predict, stack and draw, on a CPU in under 10 minutes
	@rm -rf demo/outputs
	$(BIN)/python -m seti.simulate preset=easy root=demo/data train=1200 test=500
	$(BIN)/python train.py -m experiment=demo data.layout=spatial,channel fold=0,1,2,3,4
	$(BIN)/python predict.py ckpt_dir=demo/outputs/test_resnet-A-spatial-96x128
	$(BIN)/python predict.py ckpt_dir=demo/outputs/test_resnet-A-channel-96x128
	$(BIN)/python -m seti.baseline data.root=demo/data
	$(BIN)/python stack.py output_dir=demo/outputs report=true

demo-scan: $(INSTALLED) ## Simulate six observations, search them, and measure the search, in under 2 minutes
	@rm -rf demo/observations demo/scan
	$(BIN)/python -m seti.simulate preset=cadence root=demo/observations
	$(BIN)/python -m seti.scan cadence=demo/observations truth=demo/observations/truth.csv out=demo/scan
	$(BIN)/python -m seti.report scan=demo/scan

# A worker a core; one that runs out of tests takes some of another's.
PARALLEL := -n auto --dist worksteal

test: $(INSTALLED) ## Run the tests (offline, 6 to 8 minutes on 2 cores)
	$(BIN)/python -m pytest $(PARALLEL)

test-all: $(INSTALLED) ## Run the tests and the slow ones, which run whole programs
	$(BIN)/python -m pytest $(PARALLEL) -m 'not faults'

test-faults: $(INSTALLED) ## Damaged files, kills and full disks, thousands of them (about 10 minutes)
	$(BIN)/python -m pytest -s -m faults tests/faults

bench: $(INSTALLED) ## Time every stage against the ordinary way, on a CPU in under 10 minutes
	$(BIN)/python benchmarks/run.py --readme $(if $(MACHINE),--machine '$(MACHINE)')

bench-gpu: $(INSTALLED) ## The same for training and prediction on a GPU
	$(BIN)/python benchmarks/run.py --device cuda --readme $(if $(MACHINE),--machine '$(MACHINE)')

bench-scan: $(INSTALLED) $(TURBOSETI)/.installed ## Compare the search with turboSETI on simulated coarse channels (10 minutes)
	$(BIN)/python benchmarks/scan/run.py --turboseti $(TURBOSETI)/bin/python $(if $(MACHINE),--machine '$(MACHINE)')

# turboSETI 2.3.2 uses what numpy 2.4 removed: an environment of its own.
$(TURBOSETI)/.installed:
	$(PYTHON) -m venv $(TURBOSETI)
	$(TURBOSETI)/bin/python -m pip install --quiet --disable-pip-version-check turbo_seti==2.3.2 'numpy<2.4' 'setuptools<81' 'matplotlib<3.11'
	@touch $@

judge: $(INSTALLED) ## Train the judge of candidates that ships with seti scan (20 minutes on a core; goes on where it was)
	$(BIN)/python benchmarks/judge/train.py

recipes: $(INSTALLED) ## Train and score recipes with one setting changed each (4 hours on 2 cores; goes on where it was)
	$(BIN)/python benchmarks/recipes.py --docs $(if $(MACHINE),--machine '$(MACHINE)')

screenshots: $(INSTALLED) ## Take the documents' images of report pages (after make demo and make demo-scan; needs chromium)
	$(BIN)/python docs/tools/screenshot.py demo/outputs/stack/report.html
	$(BIN)/python docs/tools/screenshot.py demo/scan/report.html --out docs/events.png

MINUTES ?= 600

weights: $(INSTALLED) ## Train the released networks on simulated cadences (MINUTES=600 on a CPU, 6 on a GPU; goes on where it was)
	$(BIN)/python -m seti.release.train --minutes $(MINUTES) --out weights
	$(BIN)/python -m seti.release.card weights/released

.PHONY: docs
docs: $(VENV)/.docs ## Build the documents as a site in site/ (no network needed once installed)
	$(BIN)/python docs/tools/layers.py
	$(BIN)/python docs/tools/settings.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "wrote site/: open site/index.html, or python -m http.server -d site, where the search works too"

$(VENV)/.docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@touch $@

lint: $(INSTALLED) ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(INSTALLED) ## Fix style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove caches and the demo's folder; keeps .venv and outputs/
	rm -rf demo .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
