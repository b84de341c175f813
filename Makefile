# Each target sets up what it needs (scripts/setup.sh) and does nothing twice.
# `make demo PYTHON=python3.12` chooses a Python (3.10 to 3.13); without it an environment that exists is kept as it is.
ROS_DISTRO ?= jazzy
VENV := $(if $(filter kilted,$(ROS_DISTRO)),.venv-kilted,.venv)
VENV_PYTHON := $(VENV)/bin/python
PYTEST_ARGS ?=

.PHONY: help setup demo demo-real test fuzz soak lint sbom docs format clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup:  ## make the environment (run time only, no torch)
	@ROS_DISTRO=$(ROS_DISTRO) scripts/setup.sh runtime

demo: setup  ## people walk past a LiDAR and a camera, are enrolled, and recognised on live ROS 2 nodes
	@$(VENV_PYTHON) -m emgait_ros demo --out out/demo

DATA ?= $(HOME)/kitti/training
demo-real: setup  ## real KITTI frames (DATA=folder) through the live tracker node, compared with their labels
	@$(VENV_PYTHON) -m emgait_ros demo-real $(DATA) --out out/demo-real

test:  ## the whole test suite (ROS_DISTRO=kilted: the tests that touch ROS, on Kilted)
	@ROS_DISTRO=$(ROS_DISTRO) scripts/setup.sh dev
	@$(VENV_PYTHON) -m pytest $(if $(filter kilted,$(ROS_DISTRO)),-m ros,) $(PYTEST_ARGS)

SEED ?= 1
fuzz:  ## 100,000 random and damaged inputs at every way in (hours; SEED=n begins, or goes on, there)
	@scripts/setup.sh dev
	@$(VENV_PYTHON) test/fuzz/night.py --seed $(SEED)

MINUTES ?= 60
soak: setup  ## simulated hours (MINUTES=480) through the live nodes, with kills at the end
	@$(VENV_PYTHON) -m emgait_ros soak --minutes $(MINUTES) --json out/soak.json

lint:  ## ruff, mypy and codespell
	@scripts/setup.sh dev
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/codespell

CYCLONEDX := cyclonedx-bom==7.5.0
sbom: setup  ## out/sbom.json: what is installed in the environment, with licences (CycloneDX), by a tool with an environment of its own
	@$(VENV_PYTHON) -m venv out/sbom && out/sbom/bin/pip install --quiet $(CYCLONEDX)
	@out/sbom/bin/cyclonedx-py environment --output-reproducible -o out/sbom.json $(VENV_PYTHON) && echo "out/sbom.json"

docs:  ## the documentation as a site, out/site/index.html
	@scripts/setup.sh dev
	@.venv/bin/python -m sphinx -q -W --keep-going -b html docs out/site && echo "out/site/index.html"

format:  ## let ruff format the code
	@scripts/setup.sh dev
	@.venv/bin/ruff check --fix . ; .venv/bin/ruff format .

clean:  ## remove everything that was built or written here
	rm -rf .venv .venv-kilted build install log out
