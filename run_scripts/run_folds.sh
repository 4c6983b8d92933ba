#!/usr/bin/env bash
# The contest's files through split, convert, one training a fold, and a submission of the folds' average.
# usage: bash run_scripts/run_folds.sh DATA_DIR (--vocab VOCAB_TXT | --encoder NAME_OR_FOLDER) [--folds K] [--include_dev]
#                                      [--output DIR] [train flags]
#   DATA_DIR       as run_contest.sh's; without dev files all rows of the train files are in the folds
#   --vocab        train a 4-layer, 256-wide BERT from random weights over this vocab.txt (nothing else is needed)
#   --encoder      fine-tune a pre-trained encoder instead: Hugging Face name or folder, EasyTransfer name, TF1 prefix
#   --folds        default: 5
#   --include_dev  split the dev files' rows too, instead of scoring the average on them
#   --output       default: runs/folds
# Started again with the same arguments, it goes on where it stopped. Other arguments need another --output.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

contest_arguments runs/folds "$@" || usage
set -- ${FLAGS[@]+"${FLAGS[@]}"}
FOLDS=5 INCLUDE_DEV="" FLAGS=()
while [ $# -gt 0 ]; do
  case "$1" in
    --folds) FOLDS="$2"; shift 2 ;;
    --include_dev) INCLUDE_DEV=yes; shift ;;
    *) FLAGS+=("$1"); shift ;;
  esac
done
require_environment
choose_config contest bert_4l_256h

say "split"
"$PYTHON" -m easytransfer_mtl split --config="$CONFIG" --data_dir="$DATA_DIR" --output_dir="$OUTPUT/split" \
  --folds="$FOLDS" ${INCLUDE_DEV:+--include_dev}

say "convert"
"$PYTHON" -m easytransfer_mtl convert --config="$CONFIG" --data_dir="$DATA_DIR" --output_dir="$OUTPUT/data" \
  --tokenizer_name_or_path="$ENCODER" --dev_share=0
TRAIN="$OUTPUT/data/train.list_tfrecord" DEV="$OUTPUT/data/dev.list_tfrecord"
[ -e "$DEV" ] || DEV=""
if [ -n "$INCLUDE_DEV" ]; then
  TRAIN="$TRAIN${DEV:+,$DEV}" DEV=""
fi

for ((FOLD = 0; FOLD < FOLDS; FOLD++)); do
  say "fold $FOLD of $FOLDS"
  train_once "$OUTPUT/fold_$FOLD" --train_input_fp="$TRAIN" --folds_file="$OUTPUT/split/folds.json" --fold="$FOLD" \
    ${FLAGS[@]+"${FLAGS[@]}"}
done

say "every fold by the model trained without it"
"$PYTHON" -m easytransfer_mtl evaluate --config="$CONFIG" --checkpoints="$MODELS" --output_dir="$OUTPUT/out_of_fold"

if [ -n "$DEV" ]; then
  say "the average on the dev files"
  "$PYTHON" -m easytransfer_mtl evaluate --config="$CONFIG" --checkpoints="$MODELS" --predict_input_fp="$DEV" \
    --output_dir="$OUTPUT/evaluation"
fi

say "submission"
"$PYTHON" -m easytransfer_mtl submit --checkpoints="$MODELS" --data_dir="$DATA_DIR" \
  --predict_output_fp="$OUTPUT/submission"
