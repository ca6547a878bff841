#!/usr/bin/env python3
"""Trains a byte-level BPE with `gristmill tokenizer train` and with the trainers of others, and compares.

    pip install tokenizers transformers gigatoken
    python bpe_train.py CORPUS.jsonl [MORE.jsonl…] --vocab 32000 --gristmill target/release/gristmill

Each trainer runs in a process of its own. CPU is user and system time of all its threads; memory is the high-water mark less what was resident
when its imports were done. Peers read `text` of JSON lines as they come; gigatoken reads a file itself and takes a copy of one document a line.
Merges must be equal, and `transformers` must load the folder and give equal ids. Exit code 1 where something differs.
"""
import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile

SPECIAL = "<|endoftext|>"


def texts(paths):
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)["text"]


def status(name):
    for line in open("/proc/self/status", encoding="ascii"):
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0


def byte_level(add_prefix_space=False):
    from tokenizers import pre_tokenizers

    return pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)


def train_tokenizers(paths, vocab):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    before = status("VmRSS")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = byte_level()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, min_frequency=2, special_tokens=[SPECIAL], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts(paths), trainer)
    return before, [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]


def symbols():
    spare = iter(range(256, 512))
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    return {byte: chr(byte if byte in plain else next(spare)) for byte in range(256)}


def train_gigatoken(paths, vocab):
    from gigatoken import JsonlFileSource, train_bpe

    before = status("VmRSS")
    source = JsonlFileSource(paths)
    _, merges = train_bpe(source, vocab, [SPECIAL])
    spelt = symbols()
    return before, [tuple("".join(spelt[b] for b in part) for part in pair) for pair in merges]


TRAINERS = {"tokenizers": train_tokenizers, "gigatoken": train_gigatoken}


def child(args):
    before, merges = TRAINERS[args.child](args.corpus, args.vocab)
    used = resource.getrusage(resource.RUSAGE_SELF)
    report = {"cpu_s": used.ru_utime + used.ru_stime, "memory": status("VmHWM") - before, "merges": merges}
    json.dump(report, open(args.out, "w", encoding="utf-8"))


def run_child(name, args, folder):
    out = os.path.join(folder, f"{name}.json")
    command = [sys.executable, __file__, *args.corpus, "--vocab", str(args.vocab), "--child", name, "--out", out]
    environment = dict(os.environ, RAYON_NUM_THREADS=str(args.threads), TOKENIZERS_PARALLELISM="true" if args.threads > 1 else "false")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}: {done.stderr.strip().splitlines()[-1:]}")
        return None
    report = json.load(open(out, encoding="utf-8"))
    return report | {"merges": [tuple(pair) for pair in report["merges"]]}


def run_ours(args, folder):
    out = os.path.join(folder, "tokenizer.json")
    command = [args.gristmill, "tokenizer", "train", *args.corpus, "--vocab-size", str(args.vocab), "--out", out]
    command += ["--threads", str(args.threads), "--progress", "none"]
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(args.gristmill, command, os.environ, file_actions=quiet)
    _, code, used = os.wait4(pid, 0)
    if code:
        sys.exit(f"gristmill: exit status {code}")
    merges = [tuple(pair) for pair in json.load(open(out, encoding="utf-8"))["model"]["merges"]]
    return {"cpu_s": used.ru_utime + used.ru_stime, "memory": used.ru_maxrss * 1024, "merges": merges}


def same_ids(args, folder, documents=2000):
    """Whether `transformers` gives the ids of the file that we wrote, by both of its doors, and decodes them back."""
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    plain = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    doors = [AutoTokenizer.from_pretrained(folder), PreTrainedTokenizerFast.from_pretrained(folder)]
    digest, bad = hashlib.blake2b(), 0
    for number, text in enumerate(texts(args.corpus)):
        if number == documents:
            break
        text = text[:20_000]
        ids = plain.encode(text).ids
        digest.update(repr(ids).encode())
        bad += any(door(text)["input_ids"] != ids for door in doors) or doors[0].decode(ids) != text
    print(f"transformers: {documents} documents, {bad} differ; ids {digest.hexdigest()[:16]}")
    return bad == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", nargs="+")
    parser.add_argument("--vocab", type=int, default=32000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--gristmill", default="target/release/gristmill")
    parser.add_argument("--peers", default="tokenizers,gigatoken")
    parser.add_argument("--child")
    parser.add_argument("--out")
    args = parser.parse_args()
    if args.child:
        return child(args)
    good = True
    with tempfile.TemporaryDirectory() as folder:
        ours = run_ours(args, folder)
        rows = {"gristmill": ours}
        for name in filter(None, args.peers.split(",")):
            rows[name] = run_child(name, args, folder)
        base = rows.get("tokenizers") or ours
        print(f"{'trainer':12} {'CPU s':>8} {'ratio':>7} {'MiB':>7} {'ratio':>7}  merges")
        for name, row in rows.items():
            if row is None:
                continue
            equal = row["merges"] == ours["merges"]
            good &= equal or name != "tokenizers"
            told = "ours" if row is ours else ("equal" if equal else "DIFFERENT")
            print(
                f"{name:12} {row['cpu_s']:8.2f} {row['cpu_s'] / base['cpu_s']:7.3f} {row['memory'] / 2**20:7.0f} "
                f"{row['memory'] / base['memory']:7.3f}  {len(row['merges'])} {told}"
            )
        good &= same_ids(args, folder)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
