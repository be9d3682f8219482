# AMC-Gym: `make` alone says what there is to do.

PYTHON ?= python3
PIP_ARGS ?=
PYTEST_ARGS ?= -n 2 --dist loadfile --no-loadscope-reorder tests

AGENTS ?= amc-ddpg,sb3-ddpg,sb3-td3,sb3-sac,cma-es,error-allocation,random,uniform
ENV ?= AMC-MobileNet-v0
SEEDS ?= 3
EPISODES ?= 200
OUT ?= runs/bench
AGAINST ?= benchmarks/results/mobilenet-digits
RUN_ARGS ?=
SPEED_OUT ?= runs/speed
BASELINES ?=

BIN := .venv/bin
INSTALLED := .venv/.installed
DEVELOPER := .venv/.installed-dev
ONNX := .venv/.installed-onnx
DOCS := .venv/.installed-docs

.DEFAULT_GOAL := help
.PHONY: help install test test-thorough bench bench-full bench-speed test-integrations bench-gpu pareto cifar10 cifar10-more weights weights-cifar10 weights-imagenette zoo docs release lint type format clean

help:
	@echo 'AMC-Gym: neural-network compression as Gymnasium environments'
	@echo
	@echo 'Times are for two idle cores without a GPU, unless they say otherwise.  Results are written'
	@echo 'below runs/, which git ignores; every target that takes long goes on where it was stopped.'
	@echo
	@echo '  make bench        compare agents over $(SEEDS) seeds of $(EPISODES) evaluations, with each other and'
	@echo '                    with the committed results             4 minutes, once installed'
	@echo '  make install      set up .venv with what that needs; other targets do so by themselves, and'
	@echo '                    developers'"'"' tools come with test, lint, type and format'
	@echo '                                                           minutes: PyTorch is downloaded'
	@echo '  make test         run the tests                          some ten minutes'
	@echo '  make test-thorough      those that kill processes, start a cluster or go through a'
	@echo '                    whole study                            some ten minutes'
	@echo '  make lint         check style, formatting and that imports run one way'
	@echo '                                                           seconds'
	@echo '  make type         check types (pyright)                  1 minute'
	@echo '  make format       put style and formatting right, where a tool can'
	@echo '                                                           seconds'
	@echo '  make test-integrations  rl_zoo3, TorchRL, Tianshou and RLlib on the environment'
	@echo '                                                           minutes, and downloads'
	@echo
	@echo '  make bench-full   every agent on $(FULL_NETWORKS), 10 seeds, 400 evaluations'
	@echo '                                                           2 hours for each network'
	@echo '  make bench-speed  time the engine, the environment and the agents against what is wanted'
	@echo '                    and against the committed baselines; BASELINES=update rewrites those'
	@echo '                                                           20 minutes'
	@echo '  make bench-gpu    seconds of a plan on a CUDA device, slim and resident, the share of its peak,'
	@echo '                    and training steps                     some ten minutes on a GPU'
	@echo '  make pareto       accuracy against MACs and measured latency (figure 5 of the paper), on'
	@echo '                    CIFAR-10 where AMC_DATA_ROOT names it  5 hours, on CIFAR-10'
	@echo '  make cifar10      the paper'"'"'s comparisons on CIFAR-10, from AMC_DATA_ROOT, searched and'
	@echo '                    fine-tuned: $(CIFAR10_STUDIES)'
	@echo '                                                           2 hours on an H100, else days'
	@echo '  make cifar10-more the search signal, weight pruning in stages, parameters at no loss,'
	@echo '                    and the paper'"'"'s agent on MobileNet     1 hour on an H100, else days'
	@echo '  make weights      train the bundled weights for digits again'
	@echo '                                                           an hour'
	@echo '  make weights-cifar10  those for CIFAR-10, from AMC_DATA_ROOT: a night with'
	@echo '                    WEIGHTS_ARGS="--set train.epochs=40"   a day; minutes on a GPU'
	@echo '  make weights-imagenette  networks for Imagenette, from AMC_DATA_ROOT'
	@echo '                                                           days; the small ones hours'
	@echo '  make zoo          train the small networks that suites are made of, into runs/zoo'
	@echo '                                                           an hour'
	@echo '  make docs         build the site from docs/ and docstrings into runs/site, and check its links'
	@echo '                                                           two minutes, once installed'
	@echo '  make release      wheels, source archive, model cards and checksums into runs/release'
	@echo '                                                           a minute; nothing is uploaded'
	@echo '  make clean        remove .venv, caches and build outputs; never results'
	@echo
	@echo 'Studies: .venv/bin/python -m benchmarks reproduce lists them; docs/reproduce.md has the results.'
	@echo 'A finished run becomes a committed result by .venv/bin/python -m benchmarks publish RUN.'
	@echo
	@echo 'Variables, as in `make bench EPISODES=50 SEEDS=1`:'
	@echo
	@echo '  PYTHON=$(PYTHON)   the interpreter .venv is made from, at least 3.11'
	@echo '  PIP_ARGS=         more for pip; for torch without CUDA:'
	@echo '                    --index-url https://download.pytorch.org/whl/cpu'
	@echo '                    --extra-index-url https://pypi.org/simple'
	@echo '  PYTEST_ARGS=      instead of "$(PYTEST_ARGS)"'
	@echo '  ENV=$(ENV)'
	@echo '  AGENTS=$(AGENTS)'
	@echo '  SEEDS=$(SEEDS)  EPISODES=$(EPISODES)'
	@echo '  OUT=$(OUT)  AGAINST=$(AGAINST)'
	@echo '  RUN_ARGS=         more for `python -m benchmarks run`, such as --rerun or --workers 1'
	@echo '  FULL_NETWORKS="$(FULL_NETWORKS)"'
	@echo '  CIFAR10_SEEDS=$(CIFAR10_SEEDS)  CIFAR10_STUDIES=$(CIFAR10_STUDIES)'
	@echo '  CIFAR10_ARGS=, PARETO_ARGS=, WEIGHTS_ARGS=  other options than those of the studies, such as'
	@echo '                    "--set finetuning.recipe.epochs=5", or --dry-run'
	@echo '  SPEED_OUT=$(SPEED_OUT)  BASELINES=$(BASELINES)'

install: $(INSTALLED)

# What users need: PyTorch, Stable-Baselines3, Optuna and what draws the report.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'AMC-Gym needs Python 3.11 or newer, and "$(PYTHON)" is not:' \
			'name one with `make PYTHON=/path/to/python3.11`' >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install $(PIP_ARGS) -e '.[benchmarks]'
	@touch $@

# What only some targets need: developers' tools, ONNX Runtime, what builds the site.
$(DEVELOPER) $(ONNX) $(DOCS): .venv/.installed-%: $(INSTALLED)
	$(BIN)/python -m pip install $(PIP_ARGS) -e '.[$*]'
	@touch $@

# One thread per worker: the workers share the cores.
test: $(DEVELOPER)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not thorough' $(PYTEST_ARGS)

test-thorough: $(DEVELOPER)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m thorough $(PYTEST_ARGS)

# Makes a virtual environment for each library, below .venvs.
test-integrations: $(DEVELOPER)
	$(BIN)/python tests/integrations/run.py

# A run that failed is no reason to keep the report of the others back.
bench: $(INSTALLED)
	@status=0; \
	$(BIN)/python -m benchmarks run --env $(ENV) --agents $(AGENTS) --seeds $(SEEDS) \
		--episodes $(EPISODES) --out $(OUT) $(RUN_ARGS) || status=$$?; \
	case $$status in 0|1) ;; *) exit $$status;; esac; \
	$(BIN)/python -m benchmarks report $(OUT) $(if $(AGAINST),--against $(AGAINST)) || exit $$?; \
	exit $$status

# Studies are data, in benchmarks/configs: `python -m benchmarks reproduce` lists them, and shows with
# --dry-run what one runs, what it costs and what is finished.  What is finished stays.
REPRODUCE = $(BIN)/python -m benchmarks reproduce
lower = $(shell echo $(1) | tr A-Z a-z)

FULL_NETWORKS ?= MobileNet Plain20 VGG16
FULL = $(foreach network,$(FULL_NETWORKS),$(call lower,$(network)))
bench-full: $(INSTALLED)
	$(REPRODUCE) $(FULL:%=digits-%)
	$(BIN)/python -m benchmarks compare $(FULL:%=runs/%-digits-full) --out runs/comparison-digits

# One thread, so that figures of different machines mean the same; some set their own.
bench-speed: $(DEVELOPER)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest benchmarks/speed \
		--benchmark-columns=min,median,iqr,rounds --out $(SPEED_OUT) \
		$(if $(BASELINES),--update-baselines)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.speed.growth --out $(SPEED_OUT)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.speed.steps --out $(SPEED_OUT)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.speed.start --out $(SPEED_OUT)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.speed.gaussian_process --out $(SPEED_OUT)

bench-gpu: $(INSTALLED)
	$(BIN)/python -m benchmarks.speed.gpu --out $(SPEED_OUT)
	$(BIN)/python -m benchmarks.speed.training --out $(SPEED_OUT)

# The paper's figure 5, and its headline.
PARETO_ARGS ?=
pareto: $(ONNX)
	$(REPRODUCE) $(if $(AMC_DATA_ROOT),pareto-cifar10,pareto-digits) $(PARETO_ARGS)

weights: $(INSTALLED)
	$(REPRODUCE) weights-digits

WEIGHTS_ARGS ?=
weights-cifar10: $(INSTALLED)
	$(REPRODUCE) weights-cifar10 $(WEIGHTS_ARGS)

# One thread is as quick as two: the networks are small.
weights-imagenette: $(INSTALLED)
	$(REPRODUCE) weights-imagenette $(WEIGHTS_ARGS)

zoo: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks zoo

# The paper's comparisons (its figure 2): networks and percents of the MACs.
CIFAR10_STUDIES ?= Plain20-50 ResNet56-50 MobileNet-50 MobileNet-40
CIFAR10_SEEDS ?= 10
CIFAR10_ARGS ?=
cifar10: $(INSTALLED)
	$(REPRODUCE) $(foreach study,$(CIFAR10_STUDIES),cifar10-$(call lower,$(study))) \
		--set run.seeds=$(CIFAR10_SEEDS) $(CIFAR10_ARGS)

# Beside them: what a search's reward says about fine-tuned networks, weight pruning in stages,
# how small a network gets when accuracy counts as much as its size (the paper's R_Param), and
# the paper's agent on MobileNet, with more evaluations than the searcher above needs.
cifar10-more: $(INSTALLED)
	$(REPRODUCE) cifar10-search-signal cifar10-resnet56-weight-stages
	$(REPRODUCE) cifar10-resnet56-params cifar10-mobilenet-50-ddpg \
		--set run.seeds=$(CIFAR10_SEEDS) $(CIFAR10_ARGS)

# MkDocs' makers quarrel in a banner; CONTRIBUTING.md says what follows for us.
docs: $(DOCS)
	NO_MKDOCS_2_WARNING=1 OMP_NUM_THREADS=1 $(BIN)/python -m mkdocs build --strict
	@echo 'Open runs/site/index.html'

release: $(DEVELOPER)
	$(BIN)/python -m release

lint: $(DEVELOPER)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache

type: $(DEVELOPER)
	$(BIN)/pyright

format: $(DEVELOPER)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venvs build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
