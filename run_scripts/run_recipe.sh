#!/usr/bin/env bash
# The recipe of docs/recipe.md: convert, pre-train, one training a seed, and a submission of their average.
# usage: bash run_scripts/run_recipe.sh DATA_DIR (--vocab VOCAB_TXT | --encoder NAME_OR_FOLDER) [--seeds S,S,...]
#                                       [--config FILE] [--prune] [--both] [--output DIR] [train flags]
#   DATA_DIR   as run_contest.sh's
#   --vocab    pre-train a 4-layer, 256-wide RoFormer on the contest's texts from random weights over this vocab.txt
#   --encoder  fine-tune a pre-trained encoder instead: Hugging Face name or folder, EasyTransfer name, TF1 prefix
#   --config   settings; default: run_scripts/config/recipe_from_scratch.json with --vocab, recipe_pretrained.json with --encoder
#   --prune    with --encoder: first cut its vocabulary to the tokens of DATA_DIR's texts (docs/vocabulary_pruning.md)
#   --both     average the plain weights and the moving averages (ema_decay) of each training, not the better of the two
#   --seeds    different whole numbers, a training each; default: 1,2,3
#   --output   default: runs/recipe
# Started again with the same arguments, it goes on where it stopped. Other arguments need another --output.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

contest_arguments runs/recipe "$@" || usage
set -- ${FLAGS[@]+"${FLAGS[@]}"}
SEEDS=1,2,3 FLAGS=() SETTINGS="" PRUNE="" BOTH=""
while [ $# -gt 0 ]; do
  case "$1" in
    --seeds) SEEDS="$2"; shift 2 ;;
    --config) SETTINGS="$(from_start "$2")"; shift 2 ;;
    --prune) PRUNE=1; shift ;;
    --both) BOTH=1; shift ;;
    --seed | --seed=*) usage ;;  # every training would have it, and the average would be of one model
    *) FLAGS+=("$1"); shift ;;
  esac
done
[[ "$SEEDS" =~ ^[0-9]+(,[0-9]+)*$ && -z "$(tr , '\n' <<< "$SEEDS" | sort | uniq -d)" ]] || usage
[ -z "$PRUNE" ] || [ -z "$VOCAB" ] || usage  # that vocabulary has no weights yet
require_environment
choose_config recipe roformer_4l_256h
CONFIG="${SETTINGS:-$CONFIG}"

if [ -n "$PRUNE" ]; then
  say "pruning"
  unless_there "$OUTPUT/encoder/pruning.json" "pruned before: $OUTPUT/encoder" "$PYTHON" -m easytransfer_mtl prune_vocabulary \
    --pretrain_model_name_or_path="$ENCODER" --input_fps="$DATA_DIR" --output_dir="$OUTPUT/encoder"
  ENCODER="$OUTPUT/encoder"
fi

say "convert"
"$PYTHON" -m easytransfer_mtl convert --config="$CONFIG" --data_dir="$DATA_DIR" --output_dir="$OUTPUT/data" \
  --tokenizer_name_or_path="$ENCODER"

if [ -n "$VOCAB" ]; then
  say "pre-training"
  unless_there "$OUTPUT/pretrain/final/pretraining.json" "pre-trained before: $OUTPUT/pretrain" \
    "$PYTHON" -m easytransfer_mtl pretrain --config="$CONFIG" --data_dir="$DATA_DIR" \
    --pretrain_model_name_or_path="$ENCODER" --random_init --model_dir="$OUTPUT/pretrain"
  ENCODER="$OUTPUT/pretrain/final"
fi

for SEED in ${SEEDS//,/ }; do
  say "seed $SEED of $SEEDS"
  train_once "$OUTPUT/seed_$SEED" --train_input_fp="$OUTPUT/data/train.list_tfrecord" \
    --predict_input_fp="$OUTPUT/data/dev.list_tfrecord" --seed="$SEED" ${FLAGS[@]+"${FLAGS[@]}"}
done

if [ -n "$BOTH" ]; then
  MODELS=""
  for SEED in ${SEEDS//,/ }; do  # the pattern leaves the untrained start out
    MODELS="$MODELS${MODELS:+,}$OUTPUT/seed_$SEED/model.ckpt-*,$OUTPUT/seed_$SEED/model.ckpt-*@ema"
  done
fi

say "submission"
"$PYTHON" -m easytransfer_mtl submit --checkpoints="$MODELS" --data_dir="$DATA_DIR" \
  --predict_output_fp="$OUTPUT/submission"

say "the average on the dev files"
"$PYTHON" -m easytransfer_mtl evaluate --config="$CONFIG" --checkpoints="$MODELS" \
  --predict_input_fp="$OUTPUT/data/dev.list_tfrecord" --output_dir="$OUTPUT/evaluation"
echo "submission: $OUTPUT/submission/result.zip"
