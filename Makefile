# The two commands of the README, and the other habits of the house.
PYTHON ?= python3
CORES ?= all
CONFIG ?= config.yaml
BIN := .venv/bin
READY := .venv/ready

.PHONY: table2 report doctor test test-cluster lint format lock clean

table2: $(READY) $(CONFIG)  ## videos to results/table2.csv; as it stands, on the embedded demo
	$(BIN)/snakemake --cores $(CORES) results/table2.csv --configfile $(CONFIG)

report: $(READY) $(CONFIG)  ## tables, figures and the run in one page to open anywhere: results/report.html
	$(BIN)/snakemake --cores $(CORES) pages --configfile $(CONFIG)
	$(BIN)/snakemake --cores 1 pages --configfile $(CONFIG) --report results/report.html

doctor: $(READY)  ## what this machine has against what the configuration needs, before hours are spent
	$(BIN)/python workflow_scripts/check_machine.py --config $(CONFIG)

test: $(READY)  ## all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-cluster: $(READY)  ## the workflow on a real SLURM, which this installs (Debian and Ubuntu, as root or by sudo)
	type slurmctld slurmd sbatch munged >/dev/null 2>&1 || { \
	SUDO=$$([ "$$(id -u)" = 0 ] || echo sudo) && $$SUDO apt-get update && \
	$$SUDO apt-get install --yes --no-install-recommends \
	slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/slurm.txt
	$(BIN)/python -m pytest tests/cluster

lint: $(READY)  ## what a commit must pass
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

# The stamp comes last: an installation that was cut short is made again.
$(READY): envs/requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else \
	"Python 3.11 to 3.13 is needed, found %d.%d; name one: make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/requirements.txt
	@touch $(READY)

lock: $(READY)  ## newest versions that fit requirements.in; torch brings its own CUDA packages
	$(BIN)/python -m pip install --quiet uv
	{ echo "# Made by 'make lock' from requirements.in; torch brings its own CUDA packages."; \
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade --no-annotate \
	--no-header envs/requirements.in | grep -vE '^(nvidia-|cuda-|triton=)'; } > envs/requirements.new
	mv envs/requirements.new envs/requirements.txt
	{ echo "# Made by 'make lock': requirements.txt, for environments of conda (snakemake --sdm conda)."; \
	echo "python -m pip install --quiet --disable-pip-version-check -r /dev/stdin <<'END'"; \
	grep -v '^#' envs/requirements.txt; echo END; } > envs/video_lstm.post-deploy.sh

clean:  ## what a run has made
	find results -mindepth 1 ! -name README.md -delete
