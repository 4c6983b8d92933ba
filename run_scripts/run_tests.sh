#!/usr/bin/env bash
# Installs what the tests need and runs them, in as many processes as there are cores, at most 4.
# usage: bash run_scripts/run_tests.sh [pytest arguments]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
make_environment test
exec "$PYTHON" -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile "$@"
