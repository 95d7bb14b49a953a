# `make` prints the targets. Each installs what it needs and nothing else.

PORT ?= 8080
WORKERS ?= 3
DATA ?= .data

.DEFAULT_GOAL := help
.PHONY: help install run test test-long bench bench-parts scenarios soak chaos image e2e-k8s lock chart audit sbom wheel

help: ## Print the targets
	@echo 'kotaemon: answers from your documents, by a cluster of equal pods'
	@echo
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)$$/  make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do \
		printf '%-18s %s\n' "$$target" "$$text"; done
	@echo
	@echo 'make run PORT=8080 WORKERS=3 DATA=.data are its defaults.'

install: ## Install everything that running and testing need; starts nothing
	@sh scripts/install.sh test

run: ## Run the whole cluster with sample knowledge on http://127.0.0.1:8080
	@sh scripts/install.sh run
	@exec .venv/bin/kotaemon up --port $(PORT) --workers $(WORKERS) --data $(DATA)

test: ## Check the style and run the tests
	@sh scripts/install.sh test
	@sh scripts/test.sh

test-long: ## Run the tests that take minutes each
	@LONG=1 sh scripts/install.sh test
	@HF_HUB_OFFLINE=1 .venv/bin/python -m pytest -m long

bench: ## Measure speed side by side; writes load/results/bench.*; ARGS='--only throughput --quick'
	@sh scripts/install.sh test
	@.venv/bin/python -m load.bench speed $(ARGS)

bench-parts: ## Measure single parts (take-over, swap, frames, …), an hour; ARGS='--only frames'
	@sh scripts/install.sh test
	@.venv/bin/python -m load.bench $(ARGS)

scenarios: ## Talk to a cluster as its users do, to size it; ARGS='--host URL --headless -u 50 -t 5m'
	@sh scripts/install.sh test
	@PYTHONPATH=. .venv/bin/locust -f load/scenarios/locustfile.py $(ARGS)

soak: ## Let 8,000 connected users ask for 12 hours; writes load/results/soak.*; ARGS='--minutes 30'
	@sh scripts/install.sh test
	@.venv/bin/python -m load.soak $(ARGS)

chaos: ## Disturb all that can be for ten minutes and judge what clients saw; ARGS='--seconds 60 --store sentinel'
	@sh scripts/install.sh test
	@.venv/bin/python -m load.chaos $(ARGS)

image: ## Build the container image; ARGS='--local-base --archive image.tar' where no registry answers
	@sh scripts/image.sh $(ARGS)

e2e-k8s: ## Install, kill, scale and upgrade the chart on the cluster of kubectl; ARGS='--image-tag 0.1.0'
	@sh scripts/install.sh test
	@.venv/bin/python -m load.e2e_k8s $(ARGS)

lock: ## Pin the dependencies again; UPGRADE=1 takes the newest versions
	@sh scripts/lock.sh $(if $(UPGRADE),--upgrade)

chart: ## Check the Helm chart; make its table of values and deploy/k8s anew
	@sh scripts/install.sh test
	@sh scripts/chart.sh

audit: ## Ask whether a pinned dependency has a known weakness
	@sh scripts/install.sh test
	@sh scripts/audit.sh audit

wheel: ## Build the wheel into dist/; COMMIT=v0.1.0 of a tag
	@sh scripts/install.sh run
	@sh scripts/wheel.sh $(COMMIT)

sbom: ## List all that is shipped, with checksums, in dist/sbom.cdx.json (CycloneDX)
	@sh scripts/install.sh test
	@sh scripts/audit.sh sbom
