#!/usr/bin/env bash
# The contest's files through convert, train, evaluate and submit.
# usage: bash run_scripts/run_contest.sh DATA_DIR (--vocab VOCAB_TXT | --encoder NAME_OR_FOLDER) [--output DIR] [train flags]
#   DATA_DIR   <TASK>_train.csv (or <TASK>_train1128.csv), <TASK>_dev.csv if there is one, test files of a board (of
#              several, the first of test, b, a is taken)
#   --vocab    train a 4-layer, 256-wide BERT from random weights over this vocab.txt (nothing else is needed)
#   --encoder  fine-tune a pre-trained encoder instead: Hugging Face name or folder, EasyTransfer name, TF1 prefix
#   --output   default: runs/contest
# Started again with the same arguments, it goes on where it stopped.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

contest_arguments runs/contest "$@" || usage
require_environment
choose_config contest bert_4l_256h

say "convert"
"$PYTHON" -m easytransfer_mtl convert --config="$CONFIG" --data_dir="$DATA_DIR" --output_dir="$OUTPUT/data" \
  --tokenizer_name_or_path="$ENCODER"

say "train and evaluate"
"$PYTHON" -m easytransfer_mtl train --config="$CONFIG" --pretrain_model_name_or_path="$ENCODER" \
  --train_input_fp="$OUTPUT/data/train.list_tfrecord" --predict_input_fp="$OUTPUT/data/dev.list_tfrecord" \
  --model_dir="$OUTPUT/model" ${FLAGS[@]+"${FLAGS[@]}"} | tee "$OUTPUT/result.txt"

say "submission"
"$PYTHON" -m easytransfer_mtl submit --predict_checkpoint_path="$OUTPUT/model/best" --data_dir="$DATA_DIR" \
  --predict_output_fp="$OUTPUT/submission"

say "result"
sed -n '/^task /,$p' "$OUTPUT/result.txt"
echo "submission: $OUTPUT/submission/result.zip"
