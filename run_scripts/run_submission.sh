#!/usr/bin/env bash
# Predictions of the contest's test files by a run's best model, as a checked result.zip.
# usage: bash run_scripts/run_submission.sh MODEL_DIR DATA_DIR [BOARD [OUTPUT_DIR]]
#   BOARD: a, b, test or auto (default)      OUTPUT_DIR: default MODEL_DIR/submission
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

[ $# -ge 2 ] || usage
require_environment
MODEL_DIR="$(from_start "$1")" DATA_DIR="$(from_start "$2")" BOARD="${3:-auto}"
OUTPUT_DIR="$(from_start "${4:-$1/submission}")"
"$PYTHON" -m easytransfer_mtl submit --predict_checkpoint_path="$MODEL_DIR/best" --data_dir="$DATA_DIR" \
  --board="$BOARD" --predict_output_fp="$OUTPUT_DIR"
