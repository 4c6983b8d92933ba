#!/usr/bin/env bash
# EasyTransfer's run_multitask_finetune.sh: its JSON file, in the folder that holds the list files.
# usage: bash run_scripts/run_multitask_finetune.sh [DATA_DIR] [train flags]      default: the current folder
set -euo pipefail
DATA_DIR=.
case "${1:--}" in -*) ;; *) DATA_DIR="$1"; shift ;; esac
DATA_DIR="$(realpath "$DATA_DIR")"
CONFIG="$(realpath "$(dirname "${BASH_SOURCE[0]}")/config")"
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$DATA_DIR"
require_environment
"$PYTHON" -m easytransfer_mtl train --mode=train --config="$CONFIG/multitask_finetune.json" "$@"
