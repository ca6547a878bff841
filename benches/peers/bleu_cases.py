#!/usr/bin/env python3
"""Writes cases for a comparison of BLEU and ROUGE with sacreBLEU and rouge-score, and compares ROUGE.

  python bleu_cases.py --count 5000 > cases.jsonl
  gristmill eval --bleu cases.jsonl > ours.jsonl
  python sacrebleu_parity.py --cases cases.jsonl --ours ours.jsonl

Lines mix scripts, punctuation and symbols of all Unicode, spaces of all kinds, entities, numbers and repeats, so that n-grams match; some
segments have fewer references than others.
"""
import argparse, json, random, sys, unicodedata

p = argparse.ArgumentParser()
p.add_argument("--count", type=int, default=5000)
p.add_argument("--seed", type=int, default=7)
a = p.parse_args()
rng = random.Random(a.seed)
POOL = [chr(c) for c in range(0x20, 0x30000) if unicodedata.category(chr(c)) not in ("Cs", "Cn", "Co", "Cc")]
MARKS = [c for c in POOL if unicodedata.category(c)[0] in "PSN"]
SPACES = [" "] * 20 + ["\u00a0", "\u2028", "\u3000", "\t", "\x1c", "\x85", "\u200b", "\n", "\r", "  "]
WORDS = "the cat sat on a mat . , 3.5 1,000 2-3 it's & &amp; &lt; &quot; <skipped> x- -y (z) “q” Ünï 日本 語。 привет, мир! مرحبا، שלום नमस्ते ١٢٣ Ⅷ ½ € $5 a.b.c … — co-op İ ẞ ΟΔΟΣ ǅ ﬁ".split()


def word():
    kind = rng.random()
    if kind < 0.75:
        return rng.choice(WORDS)
    if kind < 0.9:
        return "".join(rng.choice(MARKS if rng.random() < 0.6 else POOL) for _ in range(rng.randint(1, 3)))
    return f"{rng.randint(0, 2000)}{rng.choice('.,-:٫')}{rng.choice(['', str(rng.randint(0, 99)), 'a'])}"


def line(length):
    return "".join(word() + rng.choice(SPACES if rng.random() < 0.2 else [" "]) for _ in range(length)).rstrip(" ") if length else ""


def near(text):
    words = text.split(" ")
    for _ in range(rng.randint(0, 3)):
        at = rng.randrange(len(words) + 1)
        words[at:at + rng.randint(0, 2)] = [word()] * rng.randint(0, 2)
    return " ".join(words)


for number in range(a.count):
    mode = rng.choice(["corpus", "sentence"])
    count = 1 if mode == "sentence" else rng.randint(1, 6)
    hyps = [line(rng.choice([0, 1, 2, 3, 4, 7, 12, 20])) for _ in range(count)]
    refs = [[near(hyp) if rng.random() < 0.7 else line(rng.randint(0, 15)) for _ in range(rng.randint(1, 3))] for hyp in hyps]
    case = {"id": number, "mode": mode, "tok": rng.choice(["13a", "intl", "char", "none"]), "smooth": rng.choice(["exp", "floor", "add-k", "none"]),
            "lc": rng.random() < 0.3, "hyps": hyps, "refs": refs}
    sys.stdout.write(json.dumps(case, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\x85", "\\u0085") + "\n")
