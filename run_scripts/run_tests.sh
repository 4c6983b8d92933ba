#!/usr/bin/env bash
# Installs what the tests need and runs them in 6 processes, also where there are fewer cores: every training leaves a few MB in
# TensorFlow's library of functions, for good, so that each of fewer processes would take more than 2 GB.
# usage: bash run_scripts/run_tests.sh [pytest arguments]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
make_environment test
exec "$PYTHON" -m pytest --numprocesses=6 --dist=loadfile "$@"
