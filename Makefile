PYTHON ?= python3
CORES ?= all
CONFIG ?= config.yaml
BIN := .venv/bin
READY := .venv/ready

.PHONY: help table2 report doctor test test-fast test-cluster test-networks test-gpu lint format lock clean

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

table2: $(READY) $(CONFIG)  ## run the pipeline from videos to results/table2.csv (by default on the demo)
	$(BIN)/snakemake --cores $(CORES) results/table2.csv --configfile $(CONFIG)

report: $(READY) $(CONFIG)  ## collect tables, figures and logs in one page, results/report.html
	$(BIN)/snakemake --cores $(CORES) pages --configfile $(CONFIG)
	$(BIN)/snakemake --cores 1 pages --configfile $(CONFIG) --report results/report.html

doctor: $(READY)  ## check this machine and the data, and estimate time and disk space
	$(BIN)/python workflow_scripts/check_machine.py --config $(CONFIG)

test-fast: $(READY)  ## run the tests that take little time
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test: $(READY)  ## run all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-cluster: $(READY)  ## install SLURM (Debian, Ubuntu) and run the workflow on it
	type slurmctld slurmd sbatch munged >/dev/null 2>&1 || { \
	SUDO=$$([ "$$(id -u)" = 0 ] || echo sudo) && $$SUDO apt-get update && \
	$$SUDO apt-get install --yes --no-install-recommends \
	slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/slurm.txt
	$(BIN)/python -m pytest tests/cluster

test-networks:  ## test networks of torchvision and timm, in an environment of their own (5 GB)
	$(PYTHON) -m venv .venv-networks
	.venv-networks/bin/python -m pip install --quiet --disable-pip-version-check \
	torch==2.14.1 torchvision==0.29.1 timm
	grep -v '^torch==' envs/requirements.txt | .venv-networks/bin/python -m pip install --quiet \
	--disable-pip-version-check -r /dev/stdin
	.venv-networks/bin/python -m pytest tests/models tests/percepts

test-gpu: $(READY)  ## check and time everything that runs on an NVIDIA GPU, in 8 minutes
	$(BIN)/python benchmarks/gpu_check.py --json gpu.json --table gpu.md

lint: $(READY)  ## check formatting, names, spelling, types and the workflow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/check_words.py
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow rules
	$(BIN)/snakemake --lint

format: $(READY)  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow rules

# The stamp comes last, so that an interrupted installation is repeated.
$(READY): envs/requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 14) else \
	"Python 3.11 to 3.14 is needed, found %d.%d; name one: make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/requirements.txt
	@touch $(READY)

lock: $(READY)  ## update the locked requirements to the newest versions that fit
	$(BIN)/python -m pip install --quiet uv
	{ echo "# Made by 'make lock' from pyproject.toml; torch brings its own CUDA packages."; \
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade --no-annotate \
	--no-header pyproject.toml --extra test -c envs/constraints.txt | grep -vE '^(nvidia-|cuda-|triton=)'; } > envs/requirements.new
	mv envs/requirements.new envs/requirements.txt
	{ echo "# Made by 'make lock': requirements.txt, for environments of conda (snakemake --sdm conda)."; \
	echo "python -m pip install --quiet --disable-pip-version-check -r /dev/stdin <<'END'"; \
	grep -v '^#' envs/requirements.txt; echo END; } > envs/video_lstm.post-deploy.sh

clean:  ## delete results/
	find results -mindepth 1 ! -name README.md -delete
