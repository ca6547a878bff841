#!/usr/bin/env python3
"""Holds the tokens and the loss mask of `tokenize.chat` against `apply_chat_template` of transformers.

    pip install transformers jinja2 pyarrow
    python chat_mask.py --gristmill target/release/gristmill [--corpus TEXTS.jsonl]

Trains a tokenizer with the special tokens of all layouts, makes chats out of the texts by a seed, and compares ids and mask of every chat in
every layout, through the tokenizer_config.json of our dataset. Chats whose messages spell a special token are left out: there the two differ on
purpose, for ours are text. Exit code 1 where something differs.
"""
import argparse
import glob
import json
import os
import random
import subprocess
import sys
import tempfile

LAYOUTS = ["chatml", "llama3", "zephyr", "plain"]
SPECIALS = ["<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
SPECIALS += ["</s>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"]
RECIPE = """name = "chat"
[sources.chats]
kind = "source.jsonl"
paths = ["chats.jsonl"]
text_field = ""
row = true
[[stages]]
kind = "tokenize.chat"
file = "tokenizer.json"
template = "{layout}"
[[stages]]
kind = "sink.parquet"
"""


def chats(texts, count):
    """Turns cut out of the texts, with the ends that layouts stumble over: spaces, line ends, nothing."""
    rng = random.Random(11)
    rows = []
    while len(rows) < count:
        def piece():
            text = rng.choice(texts)
            start = rng.randrange(max(1, len(text)))
            return rng.choice(["", " ", "\n", "\n\n", "  "]) + text[start : start + rng.randrange(1, 400)] + rng.choice(["", " ", "\n", "\n\n"])
        messages = [{"role": "system", "content": piece()}] if rng.random() < 0.3 else []
        for _ in range(rng.randrange(1, 4)):
            messages += [{"role": "user", "content": piece()}, {"role": "assistant", "content": piece()}]
        answers = [m["content"] for m in messages if m["role"] == "assistant"]
        spelt = any(special in m["content"] for m in messages for special in [*SPECIALS, "<|endoftext|>"])
        if all(answer.strip() for answer in answers) and not spelt:
            rows.append({"messages": messages})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gristmill", default="target/release/gristmill")
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--chats", type=int, default=2000)
    args = parser.parse_args()
    import pyarrow.parquet
    from transformers import AutoTokenizer

    binary = os.path.abspath(args.gristmill)
    texts = [json.loads(line)["text"] for _, line in zip(range(20_000), open(args.corpus, encoding="utf-8"))]
    rows, failures = chats(texts, args.chats), 0
    for split in ["gpt2", "cl100k"]:
        with tempfile.TemporaryDirectory() as folder:
            run = lambda *command: subprocess.run([binary, *command], cwd=folder, check=True, capture_output=True)
            with open(os.path.join(folder, "chats.jsonl"), "w", encoding="utf-8") as out:
                by_offset = {}
                for row in rows:
                    by_offset[out.tell()] = row
                    out.write(json.dumps(row) + "\n")
            special = [part for token in SPECIALS for part in ("--special", token)]
            corpus = os.path.abspath(args.corpus)
            run("tokenizer", "train", corpus, "--vocab-size", "4000", "--split", split, "--out", "tokenizer.json", *special)
            for layout in LAYOUTS:
                with open(os.path.join(folder, f"{layout}.toml"), "w", encoding="utf-8") as out:
                    out.write(RECIPE.format(layout=layout))
                run("build", f"{layout}.toml", "--workdir", layout)
                dataset = os.path.join(folder, layout, "dataset")
                tokenizer = AutoTokenizer.from_pretrained(dataset)
                parts = glob.glob(os.path.join(dataset, "sink.parquet", "*.parquet"))
                found = [row for part in sorted(parts) for row in pyarrow.parquet.read_table(part).to_pylist()]
                differ = 0
                for row in found:
                    messages = by_offset[int(row["source"].rsplit(":")[-1])]["messages"]
                    expected = tokenizer.apply_chat_template(
                        messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
                    )
                    mask = [bool(learned) for learned in expected["assistant_masks"]]
                    if expected["input_ids"] != row["tokens"] or mask != row["loss_mask"]:
                        differ += 1
                        if differ == 1:
                            print(messages, expected["input_ids"], row["tokens"], mask, row["loss_mask"], sep="\n")
                missing = len(rows) - len(found)
                failures += differ + missing
                learned = sum(sum(row["loss_mask"]) for row in found) / sum(len(row["tokens"]) for row in found)
                print(f"{split:7} {layout:7} {len(found)} chats, {differ} differ, {missing} missing, {learned:.1%} of the tokens learned")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
