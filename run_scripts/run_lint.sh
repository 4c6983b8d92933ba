#!/usr/bin/env bash
# Checks style and types: ruff, and mypy as pyproject.toml sets it.
# usage: bash run_scripts/run_lint.sh
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
make_environment dev
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check easytransfer_mtl tests benchmarks setup.py
exec "$PYTHON" -m mypy
