#!/usr/bin/env bash
# EasyTransfer's run_convert_csv_to_tfrecords.sh: its six JSON files, its folder layout, its list files.
# Reads tianchi_datasets/<TASK>/{train,dev}.csv below DATA_DIR and writes the TFRecords beside them.
# usage: bash run_scripts/run_convert_csv_to_tfrecords.sh [DATA_DIR] [convert flags]      default: the current folder
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
enter_data_dir "$@"

for TASK in TNEWS OCEMOTION OCNLI; do
  for PART in train dev; do
    "$PYTHON" -m easytransfer_mtl convert --mode=preprocess --config="$CONFIG/${TASK}_preprocess_$PART.json" ${FLAGS[@]+"${FLAGS[@]}"}
  done
done
for PART in train dev; do
  printf 'tianchi_datasets/%s/'"$PART"'.tfrecord\n' TNEWS OCEMOTION OCNLI > "$PART.list_tfrecord"
done
