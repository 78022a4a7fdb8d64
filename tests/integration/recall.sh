#!/bin/sh
# recall.sh - what bench/recall says of the demo model: the control is 1, and the gate knows more than habit.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/integration/check.sh

recall=build/release/bench/recall
model=models/demo/weir-demo.gguf
table=$($recall $model models/demo/heldout.txt 200 2)
check "it ends well, so each layer's own router finds all experts" $?
echo "$table"
lines=$(echo "$table" | grep -c '^[0-9]')
check "a line for each of 12 layers" $((lines != 12))
# all: gate, residual, path, before, habit, control, each of k and of k + 2
echo "$table" | awk '$1 == "all" { exit !($2 > 0.7 && $3 > $2 && $4 > 0.7 && $6 > $8 && $2 > $6 && $12 == 1) }'
check "gate and residual above 0.7 and above the path, the path above the token before" $?
echo "$table" | awk '$1 == "0" { exit !($6 == "-") }'
check "the path says nothing of the first layer" $?
said=$($recall $model no-such-text 2>&1)
status=$?
check "a text that is not there is named" $((status != 1))
case $said in *no-such-text*) ;; *) check "by its name: $said" 1 ;; esac
exit "$wrong"
