#!/bin/sh
# Makes every shipped model from nothing, each by the command on its card (conf/models/*.md), in a folder:
# scripts/train.sh WEIR FOLDER
set -eu

weir=$1 folder=$2
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

for card in "$root"/conf/models/*.md; do
    # The command stands on a line of its own; it is for conf/models, this run is not.
    arguments=$(sed -n 's/^    weir train //p' "$card" | sed 's/ --out [^ ]*//')
    [ -n "$arguments" ] || { echo "train: $card names no command" >&2; exit 1; }
    echo "train: weir train $arguments --out $folder"
    # shellcheck disable=SC2086  # its words are arguments
    "$weir" train $arguments --out "$folder"
done
