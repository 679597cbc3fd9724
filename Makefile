# `make run` executes the notebook, `make test` checks everything; both first make .venv.
# Recipes name no absolute path, so the repository's folder may have spaces in its name.

NOTEBOOK := Assignment4B.ipynb
PYTHON_ENV := .venv/bin/python

# Words given on the command line go to the programs as environment variables. The short names
# count there only: an environment may have a DATA or OUTPUT for another purpose.
ifeq ($(origin PROFILE),command line)
export ASSIGNMENT_PROFILE := $(PROFILE)
endif
ifeq ($(origin DATA),command line)
export ASSIGNMENT_DATA := $(DATA)
endif
ifeq ($(origin OUTPUT),command line)
export ASSIGNMENT_OUTPUT := $(OUTPUT)
endif
export KERAS_BACKEND ?= tensorflow
unexport PYTHONHOME PYTHONPATH

# An option of a program, if the word was given on the command line: $(call option,IMAGES,images)
option = $(if $(filter command line,$(origin $(1))),--$(2) "$($(1))")

.PHONY: help run gallery test faults peers bench mutants oldest audit lint readme colab colab-check clean setup

help:
	@echo 'make run     execute $(NOTEBOOK) into build/ (.ipynb and .html)'
	@echo 'make gallery heatmaps of many test images in one page, build/gallery.html'
	@echo 'make test    run all tests and the notebook, with tiny settings'
	@echo 'make faults  kill, tear, fill the disk, fuzz: half an hour; QUICK=1 only rehearses'
	@echo 'make peers   compare Grad-CAM with two other libraries, on three backends (several GB)'
	@echo 'make bench   measure speed and memory beside other libraries (25 idle minutes, several GB)'
	@echo 'make mutants plant faults in the code: do the tests notice? hours; COUNT=20 of each module'
	@echo 'make oldest  run all tests with the oldest packages allowed (Python 3.10, 2 GB)'
	@echo 'make audit   known vulnerabilities and the licenses of what is installed'
	@echo 'make lint    check the code style'
	@echo 'make readme  write the numbers and figures of README.md from the run record'
	@echo 'make colab REPO=owner/name  enter the public address: badge and links appear'
	@echo 'make colab-check  run the notebook as Colab would, with its package versions (2.4 GB)'
	@echo 'make clean   remove build/ and .venv'
	@echo
	@echo 'Options of make run:'
	@echo '  PROFILE=full|quick       default: full on a GPU, else quick'
	@echo '  DATA=cifar10|shapes|DIR  default: CIFAR-10 if it can be had, else painted shapes'
	@echo '  OUTPUT=DIR               default: build'
	@echo 'Options of make gallery: DATA, OUTPUT, and'
	@echo '  CLASS=cat | CELL=cat,dog one class; or cats taken for dogs; default: all mistakes'
	@echo '  IMAGES=N                 at most, default: 1000'
	@echo 'Options of every target:'
	@echo '  KERAS_BACKEND=jax        default: tensorflow'
	@echo '  PYTHON=COMMAND           Python 3.10 to 3.13 that makes .venv; default: python3'

setup:
	@bash scripts/setup.sh requirements.txt $(if $(filter jax,$(KERAS_BACKEND)),requirements-jax.txt)

run: setup
	@$(PYTHON_ENV) -m utils.commands.execute $(NOTEBOOK)

gallery: setup
	@$(PYTHON_ENV) -m utils.commands.gallery $(call option,CLASS,class) $(call option,CELL,cell) $(call option,IMAGES,images)

test: setup
	@$(PYTHON_ENV) -m pytest --nbval-lax --numprocesses=2 --dist=loadfile

faults:
	@bash scripts/setup.sh requirements.txt requirements-jax.txt
	@$(PYTHON_ENV) -m faults $(if $(filter command line,$(origin QUICK)),--quick)

peers:
	@bash scripts/setup.sh requirements.txt requirements-peers.txt
	@KERAS_BACKEND=tensorflow $(PYTHON_ENV) -m pytest tests/explain/test_peers.py tests/explain/test_backends.py
	@KERAS_BACKEND=torch $(PYTHON_ENV) -m pytest tests/explain/test_peers.py tests/explain/test_backends.py

bench:
	@bash scripts/setup.sh requirements.txt requirements-peers.txt
	@$(PYTHON_ENV) -m benchmarks $(if $(filter command line,$(origin QUICK)),--quick)

mutants:
	@bash scripts/setup.sh requirements.txt requirements-maintain.txt
	@$(PYTHON_ENV) -m faults.mutants $(call option,COUNT,count)

oldest:
	@PYTHON="$(or $(PYTHON),python3.10)" bash scripts/oldest.sh

audit:
	@bash scripts/setup.sh requirements.txt requirements-maintain.txt
	@$(PYTHON_ENV) -m piplicenses --order=license --with-system
	@$(PYTHON_ENV) -m pip_audit --local

lint: setup
	@$(PYTHON_ENV) -m ruff check .

readme: setup
	@$(PYTHON_ENV) -m utils.commands.report

colab: setup
	$(if $(filter command line,$(origin REPO)),,$(error Name the repository: make colab REPO=owner/name))
	@$(PYTHON_ENV) -m utils.commands.report --repository "$(REPO)"

colab-check:
	@python3 scripts/colab/check.py $(PYTHON)

clean:
	rm -rf build .venv
