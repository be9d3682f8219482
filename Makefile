# AMC-Gym: `make` alone says what there is to do.

PYTHON ?= python3
PIP_ARGS ?=
PYTEST_ARGS ?= -n 2 --dist loadgroup tests

AGENTS ?= amc-ddpg,sb3-ddpg,sb3-td3,sb3-sac,random,uniform
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

.DEFAULT_GOAL := help
.PHONY: help install test bench bench-full bench-speed test-integrations bench-gpu pareto cifar10 cifar10-more weights weights-cifar10 lint type format clean

help:
	@echo 'AMC-Gym: neural-network compression as Gymnasium environments'
	@echo
	@echo 'Times are for two idle cores without a GPU, unless they say otherwise.  Results are written'
	@echo 'below runs/, which git ignores; every target that takes long goes on where it was stopped.'
	@echo
	@echo '  make bench        compare agents over $(SEEDS) seeds of $(EPISODES) evaluations, with each other and'
	@echo '                    with the committed results             3 minutes, once installed'
	@echo '  make install      set up .venv with what that needs; other targets do so by themselves, and'
	@echo '                    developers'"'"' tools come with test, lint, type and format'
	@echo '                                                           minutes: PyTorch is downloaded'
	@echo '  make test         run the tests                          20 minutes'
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
	@echo '                                                           12 minutes'
	@echo '  make bench-gpu    episodes per second on a CUDA device, the share of its peak, and training'
	@echo '                    steps                                  half an hour on a GPU'
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
	@echo '                    WEIGHTS_ARGS="--epochs 40"             a day; minutes on a GPU'
	@echo '  make clean        remove .venv, caches and build outputs; never results'
	@echo
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
	@echo '  CIFAR10_TUNING=   fine-tuning, by default $(CIFAR10_TUNING)'
	@echo '  PARETO_ARGS=      of the fronts, by default $(PARETO_ARGS)'
	@echo '  SPEEDUP_BUDGET=$(SPEEDUP_BUDGET)  of the latency, for the headline; SPEEDUP_TUNING=, by default'
	@echo '                    $(SPEEDUP_TUNING)'
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

# What only some targets need: developers' tools, ONNX Runtime.
$(DEVELOPER) $(ONNX): .venv/.installed-%: $(INSTALLED)
	$(BIN)/python -m pip install $(PIP_ARGS) -e '.[$*]'
	@touch $@

# One thread per worker: the workers share the cores.
test: $(DEVELOPER)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

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

# Everybody on several networks; what is finished stays.
FULL_NETWORKS ?= MobileNet Plain20 VGG16
RULES = uniform,shallow,deep,width-multiplier,netadapt
LEARNERS = amc-ddpg,amc-ddpg-code,sb3-ddpg,sb3-td3,sb3-sac,sb3-ppo,sb3-ddpg-default,sb3-td3-default,sb3-sac-default,sb3-ppo-default
SEARCHERS = random,random-shares,tpe,cma-es,gp,evolution,error-allocation,loss-allocation
FULL_FOLDERS = $(foreach network,$(FULL_NETWORKS),runs/$(shell echo $(network) | tr A-Z a-z)-digits-full)
bench-full: $(INSTALLED)
	for network in $(FULL_NETWORKS); do \
		out=runs/$$(echo $$network | tr A-Z a-z)-digits-full; \
		$(BIN)/python -m benchmarks run --env AMC-$$network-v0 --seeds 10 --episodes 400 \
			--agents $(RULES),$(SEARCHERS),$(LEARNERS) --out $$out || exit 1; \
		$(BIN)/python -m benchmarks report $$out || exit 1; \
	done
	$(BIN)/python -m benchmarks compare $(FULL_FOLDERS) --out runs/comparison-digits

# One thread, so that figures of different machines mean the same; some set their own.
bench-speed: $(DEVELOPER)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest benchmarks/speed \
		--benchmark-columns=min,median,iqr,rounds $(if $(BASELINES),--update-baselines)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.speed.growth --out $(SPEED_OUT)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.speed.steps --out $(SPEED_OUT)

bench-gpu: $(INSTALLED)
	$(BIN)/python -m benchmarks.speed.gpu --out $(SPEED_OUT)
	$(BIN)/python -m benchmarks.speed.training --out $(SPEED_OUT)

# The paper's figure 5, and its headline: searches by latency on all reward images, the plan of the
# median run fine-tuned longer and timed.
PARETO_DATA = $(if $(AMC_DATA_ROOT),cifar10,digits)
PARETO = runs/pareto-$(PARETO_DATA)
PARETO_IMAGES = $(if $(AMC_DATA_ROOT),500,400)
PARETO_ARGS ?= --seeds 3 --episodes 100 --recipe.epochs 1 --recipe.learning-rate 0.01 --recipe.distillation 0.9
SPEEDUP_BUDGET ?= 0.57
SPEEDUP_TUNING ?= --seeds 1 --recovery nonlinear $(CIFAR10_TUNING)
# Each budget has a folder of its own, with the table that it was searched with; networks that were
# timed are not timed again.  The fine-tuned one is timed where it was small enough to be kept.
SPEEDUP = $(PARETO)/speed-up-$(SPEEDUP_BUDGET)
pareto: $(ONNX)
	$(BIN)/python -m benchmarks.pareto --out $(PARETO) $(PARETO_ARGS) \
		--env-kwargs '{"dataset": "$(PARETO_DATA)", "reward_images": $(PARETO_IMAGES), "importance": "greedy"}'
	mkdir -p $(SPEEDUP)/table
	test -f $(SPEEDUP)/table/latency-table.json || \
		cp $(PARETO)/latency-table.json $(PARETO)/latency-check.json $(SPEEDUP)/table
	$(BIN)/python -m benchmarks run --env AMC-MobileNet-v0 --agents amc-ddpg --seeds 3 \
		--episodes 100 --out $(SPEEDUP) \
		--env-kwargs '{"dataset": "$(PARETO_DATA)", "importance": "greedy", "resource": "latency", "runtime": "onnx", "latency_table": "$(SPEEDUP)/table/latency-table.json", "preserve_ratio": $(SPEEDUP_BUDGET)}'
	$(BIN)/python -m benchmarks.finetuning $(SPEEDUP) $(SPEEDUP_TUNING)
	test -f $(SPEEDUP)/latency.txt || { \
		network=$$(ls $(SPEEDUP)/finetuned/networks/*.safetensors 2>/dev/null); \
		$(BIN)/python -m amc_gym bench-latency $(SPEEDUP)/finetuned/plans/*.json \
			$${network:+--network $$network} --runtime onnx --rounds 100 \
			> $(SPEEDUP)/latency.txt.partial \
		&& mv $(SPEEDUP)/latency.txt.partial $(SPEEDUP)/latency.txt; }
	cat $(SPEEDUP)/latency.txt

weights: $(INSTALLED)
	for network in MobileNet MobileNetV2 VGG16 ResNet50 ResNet56 Plain20; do \
		$(BIN)/python -m amc_gym.zoo.recipes $$network digits || exit 1; \
	done

# Each goes on after its last finished epoch.  The first teaches the others.
WEIGHTS_ARGS ?=
weights-cifar10: $(INSTALLED)
	for network in ResNet56 Plain20 MobileNet; do \
		$(BIN)/python -m amc_gym.zoo.recipes $$network cifar10 $(WEIGHTS_ARGS) \
			--checkpoint runs/weights/$$network-cifar10.pt || exit 1; \
	done

# The paper's comparisons (its figure 2): networks and percents of the MACs; what is finished stays.
# Each network is searched by the best signal that is affordable: nonlinear recovery costs ResNet-56
# 24 s an evaluation on a processor, reconstruction one. All plans are fine-tuned from nonlinear
# recovery, the searched one and the full network with three seeds.
CIFAR10 = runs/cifar10
CIFAR10_STUDIES ?= Plain20-50 ResNet56-50 MobileNet-50 MobileNet-40
CIFAR10_SEEDS ?= 10
CIFAR10_TUNING ?= --recipe.epochs 25 --recipe.learning-rate 0.05 --recipe.distillation 0.9
cifar10: $(INSTALLED)
	for study in $(CIFAR10_STUDIES); do \
		out=$(CIFAR10)/$$(echo $$study | tr A-Z a-z); ratio=0.$${study#*-}; \
		own=loss-allocation; episodes=100; signal=reconstruct; \
		case $$study in \
			Plain20-*) own=error-allocation; episodes=30; signal=nonlinear;; \
			MobileNet-*) episodes=40;; \
		esac; \
		$(BIN)/python -m benchmarks run --env AMC-$${study%-*}-v0 \
			--seeds $(CIFAR10_SEEDS) --episodes $$episodes \
			--env-kwargs '{"dataset": "cifar10", "preserve_ratio": '$$ratio', "importance": "greedy", "recovery": "'$$signal'"}' \
			--agents uniform,shallow,deep,width-multiplier,$$own --out $$out || exit 1; \
		$(BIN)/python -m benchmarks report $$out || exit 1; \
		$(BIN)/python -m benchmarks.finetuning $$out --recovery nonlinear \
			--agents $$own --seeds 3 $(CIFAR10_TUNING) || exit 1; \
		$(BIN)/python -m benchmarks.finetuning $$out --recovery nonlinear \
			--agents uniform,shallow,deep --seeds 1 $(CIFAR10_TUNING) || exit 1; \
	done

# Beside them: what a search's reward says about fine-tuned networks, weight pruning in stages,
# how small a network gets when accuracy counts as much as its size (the paper's R_Param), and
# the paper's agent on MobileNet, with more evaluations than the searcher above needs.
cifar10-more: $(INSTALLED)
	$(BIN)/python -m benchmarks.search_signal --out $(CIFAR10)/search-signal
	$(BIN)/python -m benchmarks.weight_stages --out $(CIFAR10)/resnet56-weight-stages \
		$(CIFAR10_TUNING)
	$(BIN)/python -m benchmarks run --env AMC-ResNet56-v0 \
		--seeds $(CIFAR10_SEEDS) --episodes 100 \
		--env-kwargs '{"dataset": "cifar10", "preserve_ratio": null, "resource": "params", "reward": "error-log-params", "importance": "greedy", "recovery": "reconstruct"}' \
		--agents loss-allocation --out $(CIFAR10)/resnet56-params
	$(BIN)/python -m benchmarks report $(CIFAR10)/resnet56-params
	$(BIN)/python -m benchmarks.finetuning $(CIFAR10)/resnet56-params --recovery nonlinear \
		--seeds 3 $(CIFAR10_TUNING)
	$(BIN)/python -m benchmarks run --env AMC-MobileNet-v0 \
		--seeds $(CIFAR10_SEEDS) --episodes 100 \
		--env-kwargs '{"dataset": "cifar10", "preserve_ratio": 0.5, "importance": "greedy", "recovery": "reconstruct"}' \
		--agents amc-ddpg --out $(CIFAR10)/mobilenet-50-ddpg
	$(BIN)/python -m benchmarks report $(CIFAR10)/mobilenet-50-ddpg
	$(BIN)/python -m benchmarks.finetuning $(CIFAR10)/mobilenet-50-ddpg --recovery nonlinear \
		--seeds 1 $(CIFAR10_TUNING)

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
