#!/usr/bin/env bash
# Installs what the tests need and runs them in 4 processes, also where there are fewer cores: every training leaves a few MB in
# TensorFlow's library of functions, for good: up to 2.7 GB in each of 4 processes, more in each of 2, hardly less in each of 6.
# usage: bash run_scripts/run_tests.sh [pytest arguments]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
make_environment test
exec "$PYTHON" -m pytest --numprocesses=4 --dist=loadfile "$@"
