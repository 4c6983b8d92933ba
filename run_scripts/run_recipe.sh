#!/usr/bin/env bash
# The recipe of docs/recipe.md: convert, pre-train, one training a seed, and a submission of their average.
# usage: bash run_scripts/run_recipe.sh DATA_DIR (--vocab VOCAB_TXT | --encoder NAME_OR_FOLDER) [--seeds S,S,...]
#                                       [--config FILE] [--prune] [--both] [--beside VOCAB_TXT] [--output DIR] [train flags]
#   DATA_DIR   as run_contest.sh's
#   --vocab    pre-train a 4-layer, 256-wide RoFormer on the contest's texts from random weights over this vocab.txt
#   --encoder  fine-tune a pre-trained encoder instead: Hugging Face name or folder, EasyTransfer name, TF1 prefix
#   --config   settings; default: run_scripts/config/recipe_from_scratch.json with --vocab, recipe_pretrained.json with --encoder
#   --prune    with --encoder: first cut its vocabulary to the tokens of DATA_DIR's texts (docs/vocabulary_pruning.md)
#   --both     average the plain weights and the moving averages (ema_decay) of each training, not the better of the two
#   --beside   with --encoder: for TNEWS average in, one model a seed, a 2-layer, 128-wide RoFormer over this vocab.txt, trained
#              from random weights by recipe_from_scratch.json without the train flags
#   --seeds    different whole numbers, a training each; default: 1,2,3
#   --output   default: runs/recipe
# Started again with the same arguments, it goes on where it stopped. Other arguments need another --output.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

contest_arguments runs/recipe "$@" || usage
set -- ${FLAGS[@]+"${FLAGS[@]}"}
SEEDS=1,2,3 FLAGS=() SETTINGS="" PRUNE="" BOTH="" BESIDE=""
while [ $# -gt 0 ]; do
  case "$1" in
    --seeds) SEEDS="$2"; shift 2 ;;
    --config) SETTINGS="$(from_start "$2")"; shift 2 ;;
    --prune) PRUNE=1; shift ;;
    --both) BOTH=1; shift ;;
    --beside) BESIDE="$(from_start "$2")"; shift 2 ;;
    --seed | --seed=*) usage ;;  # every training would have it, and the average would be of one model
    *) FLAGS+=("$1"); shift ;;
  esac
done
[[ "$SEEDS" =~ ^[0-9]+(,[0-9]+)*$ && -z "$(tr , '\n' <<< "$SEEDS" | sort | uniq -d)" ]] || usage
[ -z "$PRUNE" ] || [ -z "$VOCAB" ] || usage  # that vocabulary has no weights yet
[ -z "$BESIDE" ] || { [ -z "$VOCAB" ] && [ -f "$BESIDE" ]; } || usage
require_environment
choose_config recipe roformer_4l_256h
CONFIG="${SETTINGS:-$CONFIG}"

if [ -n "$PRUNE" ]; then
  say "pruning"
  unless_there "$OUTPUT/encoder/pruning.json" "pruned before: $OUTPUT/encoder" "$PYTHON" -m easytransfer_mtl prune_vocabulary \
    --pretrain_model_name_or_path="$ENCODER" --input_fps="$DATA_DIR" --output_dir="$OUTPUT/encoder"
  ENCODER="$OUTPUT/encoder"
fi

# convert FOLDER: converts the contest's files to FOLDER/data as CONFIG and ENCODER want them.
convert() {
  say "convert"
  "$PYTHON" -m easytransfer_mtl convert --config="$CONFIG" --data_dir="$DATA_DIR" --output_dir="$1/data" \
    --tokenizer_name_or_path="$ENCODER"
}

# train_seeds FOLDER [train flags]: trains ENCODER once a seed on FOLDER/data.
train_seeds() {
  local folder="$1" seed
  shift
  for seed in ${SEEDS//,/ }; do
    say "seed $seed of $SEEDS"
    train_once "$folder/seed_$seed" --train_input_fp="$folder/data/train.list_tfrecord" \
      --predict_input_fp="$folder/data/dev.list_tfrecord" --seed="$seed" "$@"
  done
}

convert "$OUTPUT"

WEIGHTS=() SMALL=""
# train_beside: trains the small models, first since they take minutes: a vocab.txt that does not fit is not found after hours.
# Sets SMALL to their models, and WEIGHTS so that these have half of TNEWS and no part in the other tasks.
train_beside() {
  local CONFIG=run_scripts/config/recipe_from_scratch.json ENCODER="$OUTPUT/beside/encoder" each others share
  say "beside"
  make_encoder roformer_2l_128h "$BESIDE" "$ENCODER"
  convert "$OUTPUT/beside"
  train_seeds "$OUTPUT/beside" --random_init
  SMALL="$MODELS" MODELS=""
  each="$(sed 's/[0-9][0-9]*/1/g; s/,/:/g' <<< "$SEEDS")"
  others="${BOTH:+$each:}$each" share="$each"
  [ -z "$BOTH" ] || share="${each//1/2}"
  WEIGHTS=(--checkpoint_weights="$others:${each//1/0},tnews=$others:$share")
}

if [ -n "$BESIDE" ]; then train_beside; fi

if [ -n "$VOCAB" ]; then
  say "pre-training"
  unless_there "$OUTPUT/pretrain/final/pretraining.json" "pre-trained before: $OUTPUT/pretrain" \
    "$PYTHON" -m easytransfer_mtl pretrain --config="$CONFIG" --data_dir="$DATA_DIR" \
    --pretrain_model_name_or_path="$ENCODER" --random_init --model_dir="$OUTPUT/pretrain"
  ENCODER="$OUTPUT/pretrain/final"
fi

train_seeds "$OUTPUT" ${FLAGS[@]+"${FLAGS[@]}"}

if [ -n "$BOTH" ]; then
  MODELS=""
  for SEED in ${SEEDS//,/ }; do  # the pattern leaves the untrained start out
    MODELS="$MODELS${MODELS:+,}$OUTPUT/seed_$SEED/model.ckpt-*,$OUTPUT/seed_$SEED/model.ckpt-*@ema"
  done
fi
MODELS="$MODELS${SMALL:+,$SMALL}"

say "submission"
"$PYTHON" -m easytransfer_mtl submit --checkpoints="$MODELS" --data_dir="$DATA_DIR" \
  --predict_output_fp="$OUTPUT/submission" ${WEIGHTS[@]+"${WEIGHTS[@]}"}

say "the average on the dev files"
"$PYTHON" -m easytransfer_mtl evaluate --config="$CONFIG" --checkpoints="$MODELS" \
  --data_dir="$DATA_DIR" --output_dir="$OUTPUT/evaluation" ${WEIGHTS[@]+"${WEIGHTS[@]}"}
echo "submission: $OUTPUT/submission/result.zip"
