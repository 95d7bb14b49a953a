#!/bin/sh
# chart.sh: checks the chart and makes what is made from it: its README's table, and deploy/k8s.
set -eu
cd "$(dirname "$0")/.."
. scripts/steps.sh

helm=$(sh scripts/helm.sh)
# Helm built without a version takes the oldest Kubernetes there is.
step "helm lint" "$helm" lint --strict --quiet --kube-version 1.33.0 helm/kotaemon
step "helm/kotaemon/README.md and deploy/k8s" .venv/bin/python scripts/chart_files.py "$helm"
