#!/bin/sh
# Alignment on a small honest task, from texts to rewards: prints what each model does on held-out prompts.
#
#     sh examples/align/show.sh FOLDER [SEED]        (`gristmill` is on the PATH, or GRISTMILL names it)
#
# right: share of answers that are in order; styled: share with words before the digits. Both over 400 prompts whose digits stand
# in no other file.
set -eu
work=$1
seed=${2:-0}
here=$(cd "$(dirname "$0")" && pwd)
gristmill=${GRISTMILL:-gristmill}

python3 "$here/world.py" "$work" "$seed"
cp "$here/world.toml" "$work/"
cd "$work"

run() { "$gristmill" "$@" --progress none --json >>log.jsonl 2>>log.txt; }
number() { python3 -c 'import json, sys; print("%.3f" % eval("json.load(sys.stdin)" + sys.argv[1]))' "$1"; }
score() {
    "$gristmill" align score "$1" held-tasks.jsonl --template chatml --set reward_regex=1 --set "regex=$2" --json | number "['reward']"
}
row() { printf '%-34s %6s %7s\n' "$1" "$(score "$2" '^(Here you are: )?{answer}$')" "$(score "$2" '^Here you are: ')"; }
held_out() { tail -n 1 log.jsonl | number "['after']['$1']"; }

run tokenizer train text.jsonl --vocab-size 320 --special '<|im_start|>' --special '<|im_end|>' --out tokenizer/tokenizer.json
run build world.toml
run train world.toml --set seed="$seed"

printf '%-34s %6s %7s\n' model right styled
row "base" gristmill-world/model

run align sft gristmill-world/model chats.jsonl --template chatml --out sft --length 48 \
    --set epochs=10 --set batch_rows=8 --set learning_rate=0.001 --set seed="$seed"
row "sft" sft

run align dpo sft style.jsonl --held-out held-style.jsonl --out dpo \
    --set batch_rows=16 --set epochs=1 --set learning_rate=0.0001 --set seed="$seed"
accuracy=$(held_out accuracy)
row "sft, then dpo for the words" dpo

run align dpo sft style.jsonl --held-out held-style.jsonl --out dpo-kept --set chosen_weight=3 \
    --set batch_rows=16 --set epochs=1 --set learning_rate=0.0001 --set seed="$seed"
row "the same with chosen_weight = 3" dpo-kept

run align dpo sft style.jsonl --held-out held-style.jsonl --out dpo-lora --set lora_rank=8 \
    --set batch_rows=16 --set epochs=1 --set learning_rate=0.0007 --set seed="$seed"
row "the same with lora, rank 8" dpo-lora
echo "dpo: accuracy of the implicit reward on held-out pairs $accuracy"

run align reward sft right.jsonl --held-out held-right.jsonl --out judge \
    --set batch_rows=16 --set epochs=4 --set learning_rate=0.001 --set seed="$seed"
echo "reward: accuracy on held-out pairs of a right and a wrong answer $(held_out accuracy)"

run align grpo sft tasks.jsonl --out grpo --held-out held-tasks.jsonl --set reward_regex=1 \
    --set 'regex=^(Here you are: )?{answer}$' --set group=16 --set tokens_max=16 --set batch_rows=8 --set steps=250 \
    --set learning_rate=0.0002 --set kl=0.02 --set seed="$seed"
row "sft, then grpo by a rule" grpo

run align grpo sft tasks.jsonl --out grpo-model --held-out held-tasks.jsonl --reward-model judge --set reward_model=1 \
    --set group=16 --set tokens_max=16 --set batch_rows=8 --set steps=120 \
    --set learning_rate=0.0002 --set kl=0.05 --set seed="$seed"
row "sft, then grpo by the reward model" grpo-model
