#!/usr/bin/env bash
# Installs what the tests need and runs them in 4 processes, also where there are fewer cores: every training leaves a few MB in
# TensorFlow's library of functions, for good, so that few processes grow large. All tests run in three parts, for the same
# reason: each starts with new processes.
# usage: bash run_scripts/run_tests.sh [pytest arguments]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
make_environment test

run() { "$PYTHON" -m pytest --numprocesses=4 --dist=loadfile "$@"; }

if [ $# -gt 0 ]; then
  run "$@"
else
  FIRST=(tests/training) SECOND=(tests/models tests/pretraining tests/weighting) FAILED=""
  run "${FIRST[@]}" || FAILED=1
  run "${SECOND[@]}" || FAILED=1
  REST=("${FIRST[@]}" "${SECOND[@]}")
  run tests "${REST[@]/#/--ignore=}" || FAILED=1
  [ -z "$FAILED" ]
fi
