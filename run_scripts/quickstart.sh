#!/usr/bin/env bash
# Sets up and does the main job on the invented sample data: convert, train a tiny BERT on three tasks, evaluate every
# checkpoint, write and check result.zip. About a minute on 2 cores after the downloads.
# usage: bash run_scripts/quickstart.sh [OUTPUT_DIR]      default: runs/quickstart
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
OUTPUT=runs/quickstart
[ $# -eq 0 ] || OUTPUT="$(from_start "$1")"

say "set up"
make_environment

say "convert data/sample"
"$PYTHON" -m easytransfer_mtl convert --config=run_scripts/config/quickstart.json --output_dir="$OUTPUT/data"

say "train and evaluate"
"$PYTHON" -m easytransfer_mtl train --config=run_scripts/config/quickstart.json \
  --train_input_fp="$OUTPUT/data/train.list_tfrecord" --predict_input_fp="$OUTPUT/data/dev.list_tfrecord" \
  --model_dir="$OUTPUT/model" | tee "$OUTPUT/result.txt"

say "submission"
"$PYTHON" -m easytransfer_mtl submit --data_dir=data/sample --predict_checkpoint_path="$OUTPUT/model/best" \
  --predict_output_fp="$OUTPUT/submission"

say "result"
sed -n '/^task /,$p' "$OUTPUT/result.txt"
echo "submission: $OUTPUT/submission/result.zip"
