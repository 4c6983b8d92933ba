#!/usr/bin/env bash
# The contest's files through convert, train, evaluate and submit.
# usage: bash run_scripts/run_contest.sh DATA_DIR (--vocab VOCAB_TXT | --encoder NAME_OR_FOLDER) [--output DIR] [train flags]
#   DATA_DIR   <TASK>_train.csv (or <TASK>_train1128.csv), <TASK>_dev.csv if there is one, test files of a board
#   --vocab    train a 4-layer, 256-wide BERT from random weights over this vocab.txt (nothing else is needed)
#   --encoder  fine-tune a pre-trained encoder instead: Hugging Face name or folder, EasyTransfer name, TF1 prefix
#   --output   default: runs/contest
# Started again with the same arguments, it goes on where it stopped.
set -euo pipefail

usage() {
  sed -n '2,8s/^# //p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

[ $# -ge 1 ] && [ -d "$1" ] || usage
DATA_DIR="$(realpath "$1")"
shift
OUTPUT="$(dirname "${BASH_SOURCE[0]}")/../runs/contest" VOCAB="" ENCODER="" FLAGS=()
while [ $# -gt 0 ]; do
  case "$1" in
    --vocab) VOCAB="$(realpath "$2")"; shift 2 ;;
    --encoder) ENCODER="$2"; [ ! -e "$2" ] && [ ! -e "$2.index" ] || ENCODER="$(realpath -m "$2")"; shift 2 ;;
    --output) OUTPUT="$2"; shift 2 ;;
    *) FLAGS+=("$1"); shift ;;
  esac
done
[ -n "$VOCAB$ENCODER" ] || usage
[ -z "$VOCAB" ] || [ -z "$ENCODER" ] || usage
OUTPUT="$(realpath -m "$OUTPUT")"
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
require_environment

CONFIG=run_scripts/config/contest_pretrained.json
if [ -n "$VOCAB" ]; then
  CONFIG=run_scripts/config/contest_from_scratch.json
  ENCODER="$OUTPUT/encoder"
  mkdir -p "$ENCODER"
  cp run_scripts/config/bert_4l_256h.json "$ENCODER/config.json"
  cp "$VOCAB" "$ENCODER/vocab.txt"
fi

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
