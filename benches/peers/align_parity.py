#!/usr/bin/env python3
"""Holds aligned models against transformers (and PEFT, where it is installed).

    sh examples/align/show.sh WORK
    python benches/peers/align_parity.py WORK --gristmill target/release/gristmill

answers   greedy answers of WORK/sft to the held-out prompts, laid out by its own chat_template in transformers,
          against `gristmill align score --rows`
rewards   accuracy of WORK/judge as LlamaForSequenceClassification, against its training.json
adapter   logits of WORK/dpo-lora through PEFT, against the merged folder that `gristmill align merge` writes
"""

import argparse
import json
import subprocess
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def prompt_ids(tokenizer, prompt):
    chat = [{"role": "user", "content": prompt}]
    text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    # A text begins behind the token that ends one.
    return [tokenizer.eos_token_id, *ids]


def answers(work, program, count):
    out = work / "answers.jsonl"
    command = [program, "align", "score", work / "sft", work / "held-tasks.jsonl", "--rows", out, "--tokens", "16"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    ours = {row["line"]: row["text"] for row in rows(out)}
    tokenizer = AutoTokenizer.from_pretrained(work / "sft")
    model = AutoModelForCausalLM.from_pretrained(work / "sft")
    equal = 0
    for line, task in list(enumerate(rows(work / "held-tasks.jsonl"), 1))[:count]:
        ids = torch.tensor([prompt_ids(tokenizer, task["prompt"])])
        given = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=16, do_sample=False)
        equal += tokenizer.decode(given[0, ids.shape[1] :], skip_special_tokens=True) == ours[line]
    print(f"answers: {equal} of {count} equal")


def rewards(work):
    tokenizer = AutoTokenizer.from_pretrained(work / "sft")
    model = AutoModelForSequenceClassification.from_pretrained(work / "judge", num_labels=1)
    end = [tokenizer.eos_token_id]

    def reward(prompt, answer):
        ids = prompt_ids(tokenizer, prompt) + tokenizer(answer, add_special_tokens=False)["input_ids"] + end
        return model(torch.tensor([ids])).logits.item()

    pairs = rows(work / "held-right.jsonl")
    with torch.no_grad():
        right = sum(reward(p["prompt"], p["chosen"]) > reward(p["prompt"], p["rejected"]) for p in pairs)
    ours = json.loads((work / "judge" / "training.json").read_text())["after"]["accuracy"]
    print(f"rewards: accuracy {right / len(pairs):.4f}, ours {ours:.4f}")


def adapter(work, program):
    try:
        from peft import PeftModel
    except ImportError:
        print("adapter: PEFT is not installed, not compared")
        return
    merged = work / "dpo-merged"
    subprocess.run([program, "align", "merge", work / "dpo-lora", "--out", merged], check=True, stdout=subprocess.DEVNULL)
    base = json.loads((work / "dpo-lora" / "adapter_config.json").read_text())["base_model_name_or_path"]
    adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), work / "dpo-lora")
    whole = AutoModelForCausalLM.from_pretrained(merged)
    ids = torch.tensor([prompt_ids(AutoTokenizer.from_pretrained(merged), "Sort 7 3 9 1")])
    with torch.no_grad():
        apart = (adapted(ids).logits - whole(ids).logits).abs().max().item()
    print(f"adapter: logits at most {apart:.2g} apart")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--gristmill", default="gristmill")
    parser.add_argument("--count", type=int, default=100)
    args = parser.parse_args()
    answers(args.work, args.gristmill, args.count)
    rewards(args.work)
    adapter(args.work, args.gristmill)


if __name__ == "__main__":
    main()
