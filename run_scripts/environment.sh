# Sourced by the scripts of this folder: finds or makes the Python environment, from the repository's root.
# Sets PYTHON. An active virtual environment is used as it is; otherwise .venv in the repository.

STARTED_IN="$PWD"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ -n "${VIRTUAL_ENV:-}" ]; then
  PYTHON="$VIRTUAL_ENV/bin/python"
else
  PYTHON="$PWD/.venv/bin/python"
fi

# make_environment [EXTRA]: creates .venv if need be and installs the package with the tested versions.
make_environment() {
  if [ ! -x "$PYTHON" ]; then
    local base
    base="$(find_python)" || return 1
    echo "making .venv with $base"
    "$base" -m venv .venv
  fi
  "$PYTHON" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".${1:+[$1]}"
}

# find_python: prints the newest supported Python there is, 3.10 to 3.12.
find_python() {
  local name
  for name in python3.12 python3.11 python3.10 python3 python; do
    if "$name" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  echo "error: Python 3.10, 3.11 or 3.12 is needed and none was found; install one, or activate an environment that has it." >&2
  return 1
}

# require_environment: stops with a hint if nothing is installed yet; asked elsewhere, since the repository's own folder holds
# the package whether it is installed or not.
require_environment() {
  if ! (cd / && "$PYTHON" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("easytransfer_mtl") is None)') 2>/dev/null; then
    echo "error: easytransfer_mtl is not installed in $PYTHON; run: bash run_scripts/quickstart.sh" >&2
    exit 1
  fi
}

# enter_data_dir [DATA_DIR] [flags]: goes to DATA_DIR (default: where the script was started) as EasyTransfer's scripts
# expect. Sets CONFIG to the folder of the JSON files and FLAGS to the flags.
enter_data_dir() {
  local folder=.
  case "${1:--}" in -*) ;; *) folder="$1"; shift ;; esac
  FLAGS=("$@") CONFIG="$PWD/run_scripts/config"
  cd "$STARTED_IN"
  cd "$folder"
  require_environment
}

# from_start PATH: prints PATH as it is seen from where the script was started, absolute, whether it exists or not.
from_start() { case "$1" in /*) echo "$1" ;; *) echo "$STARTED_IN/$1" ;; esac; }

# Flags of the scripts themselves, each with a value; all others are train's.
OWN=" --vocab --encoder --output --config --folds --seeds --beside "

# contest_arguments DEFAULT_OUTPUT DATA_DIR (--vocab FILE | --encoder NAME_OR_FOLDER) [--output DIR] [others]: sets DATA_DIR,
# VOCAB or ENCODER, OUTPUT, and FLAGS to the others, own ones as two words; fails if something is missing.
contest_arguments() {
  OUTPUT="$PWD/$1" VOCAB="" ENCODER="" FLAGS=()
  [ $# -ge 2 ] || return 1
  DATA_DIR="$(from_start "$2")"
  [ -d "$DATA_DIR" ] || return 1
  shift 2
  while [ $# -gt 0 ]; do
    if [[ "$1" == *=* && "$OWN" == *" ${1%%=*} "* ]]; then set -- "${1%%=*}" "${1#*=}" "${@:2}"; fi
    if [[ "$OWN" == *" $1 "* && -z "${2:-}" ]]; then return 1; fi
    case "$1" in
      --vocab) VOCAB="$(from_start "$2")"; shift 2 ;;
      --encoder) ENCODER="$(from_start "$2")"; [ -e "$ENCODER" ] || [ -e "$ENCODER.index" ] || ENCODER="$2"; shift 2 ;;
      --output) OUTPUT="$(from_start "$2")"; shift 2 ;;
      *) FLAGS+=("$1"); shift ;;
    esac
  done
  [ -n "$VOCAB$ENCODER" ] && { [ -z "$VOCAB" ] || [ -z "$ENCODER" ]; }
}

# choose_config NAME SMALL: sets CONFIG to NAME's file by what the arguments named; with a vocabulary makes ENCODER, the
# folder of the small encoder that encoders/SMALL.json describes.
choose_config() {
  CONFIG="run_scripts/config/$1_pretrained.json"
  [ -n "$VOCAB" ] || return 0
  CONFIG="run_scripts/config/$1_from_scratch.json"
  ENCODER="$OUTPUT/encoder"
  make_encoder "$2" "$VOCAB" "$ENCODER"
}

# make_encoder SMALL VOCAB FOLDER: writes the folder of the small encoder, without weights, that encoders/SMALL.json describes.
make_encoder() {
  mkdir -p "$3"
  cp "run_scripts/config/encoders/$1.json" "$3/config.json"
  cp "$2" "$3/vocab.txt"
}

# unless_there FILE TEXT COMMAND...: runs a command unless its last output is there; then says TEXT.
unless_there() {
  if [ -e "$1" ]; then
    echo "$2"
  else
    "${@:3}"
  fi
}

# train_once FOLDER FLAGS: trains ENCODER as CONFIG says unless FOLDER has a finished training; adds its best model to MODELS.
MODELS=""
train_once() {
  local folder="$1"
  shift
  MODELS="$MODELS${MODELS:+,}$folder/best"
  unless_there "$folder/best/export.json" "trained before: $folder" "$PYTHON" -m easytransfer_mtl train --config="$CONFIG" \
    --pretrain_model_name_or_path="$ENCODER" --model_dir="$folder" "$@"
}

# usage: prints what stands in the comment at the head of the script, and stops; called in the repository's root.
usage() {
  sed -n '2,/^set /s/^# //p' "run_scripts/${0##*/}" >&2
  exit 2
}

# say TEXT: a heading between the steps.
say() { printf '\n== %s\n' "$*"; }
