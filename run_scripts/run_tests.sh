#!/usr/bin/env bash
# Installs what the tests need and runs them in 4 processes, also where there are fewer cores: every training leaves a few MB in
# TensorFlow's library of functions, for good, so that few processes grow large. All tests run as two halves, for the same
# reason: the second starts with new processes.
# usage: bash run_scripts/run_tests.sh [pytest arguments]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
make_environment test
TRAINING=(tests/models tests/pretraining tests/training tests/weighting)

run() { "$PYTHON" -m pytest --numprocesses=4 --dist=loadfile "$@"; }

if [ $# -gt 0 ]; then
  run "$@"
else
  FAILED=""
  run "${TRAINING[@]}" || FAILED=1
  run tests "${TRAINING[@]/#/--ignore=}" && [ -z "$FAILED" ]
fi
