#!/usr/bin/env bash
# EasyTransfer's run_multitask_finetune.sh: its JSON file, in the folder that holds the list files.
# usage: bash run_scripts/run_multitask_finetune.sh [DATA_DIR] [train flags]      default: the current folder
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
enter_data_dir "$@"
"$PYTHON" -m easytransfer_mtl train --mode=train --config="$CONFIG/multitask_finetune.json" ${FLAGS[@]+"${FLAGS[@]}"}
