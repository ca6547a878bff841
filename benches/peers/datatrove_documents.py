#!/usr/bin/env python3
"""Make documents to hold our filters against datatrove's: real texts cut in pieces, pages, and mutated ones of both.

  python3 benches/peers/datatrove_documents.py TEXT_FOLDER [PAGES.jsonl …] > documents.jsonl

TEXT_FOLDER holds `*.jsonl.gz` with `id` and `text`; further files hold texts of web pages, taken as they are. The same input gives
the same documents: about 1.4 for each 3 kB.
"""
import glob
import gzip
import json
import os
import random
import sys

SIZES = [200, 400, 800, 1500, 3000, 6000, 12000]
NOISE = " \n\t.,;:'\"-()[]{}<>#*&$%+=/@!?’“”…—–°²µ€éßÄя中😀\u00a0\u200b\x85١0123456789aZ"
MARKS = ["#", "...", "…", "#tag", "-", "•", "{", "1234", "3.14", "!!", "🙂", ":)", "lorem ipsum", "javascript"]
BREAKS = ["\r\n", "\r", "\u2028", "\x0b", "\x1c", " \n ", "\n\n"]
EDGES = ["", " ", "\n", "\n\n\n", "...", "# # #", "\u00a0", "a", "{", "Lorem ipsum dolor sit amet.", " a  b "]


def pieces(text, rng):
    at = 0
    while at < len(text):
        end = min(len(text), at + int(rng.choice(SIZES) * rng.uniform(0.5, 1.5)))
        line = text.rfind("\n", at, end)
        if rng.random() < 0.8 and line > at + 50:
            end = line + 1
        yield text[at:end]
        at = end


def mutate(text, rng):
    lines, words, way = text.split("\n"), text.split(" "), rng.randrange(12)
    if way == 0:
        for _ in range(rng.randrange(1, 1 + max(2, len(lines) // 2))):
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
        return "\n".join(lines)
    if way == 1:
        return "\n\n".join(p for q in text.split("\n\n") for p in [q] * rng.choice([1, 1, 1, 2]))
    if way == 2:
        for _ in range(len(words) // rng.choice([5, 8, 11])):
            words.insert(rng.randrange(len(words) + 1), rng.choice(MARKS))
        return " ".join(words)
    if way == 3:
        return text[rng.randrange(max(1, len(text) // 2)) :][: rng.choice([60, 150, 300, 600])]
    if way == 4:
        share = rng.choice([0.85, 0.95])
        return "\n".join(("- " if rng.random() < share else "") + line for line in lines)
    if way == 5:
        return "\n".join(line + ("..." if rng.random() < 0.35 else "") for line in lines)
    if way == 6:
        return text.replace("\n", rng.choice(BREAKS))
    if way == 7:
        chars = list(text)
        for _ in range(max(1, len(chars) // 40)):
            chars[rng.randrange(len(chars))] = rng.choice(NOISE)
        return "".join(chars)
    if way == 8:
        return text.upper() if rng.random() < 0.5 else text.lower()
    if way == 9:
        return (text[: rng.choice([20, 60, 120])] + rng.choice(" \n")) * rng.choice([2, 5, 20])
    if way == 10:
        return "".join(word + rng.choice([".", "! ", ", ", " "]) for word in text.split())
    shuffled = text.split()
    rng.shuffle(shuffled)
    return " ".join(shuffled)


def main():
    rng, documents = random.Random(7), []
    for path in sorted(glob.glob(os.path.join(sys.argv[1], "*.jsonl.gz"))):
        with gzip.open(path, "rt", encoding="utf-8") as rows:
            for row in map(json.loads, rows):
                documents += [(f"text/{row['id']}/{n}", piece) for n, piece in enumerate(pieces(row["text"], rng))]
    for path in sys.argv[2:]:
        with open(path, encoding="utf-8") as rows:
            documents += [(f"page/{n}", json.loads(row)["text"]) for n, row in enumerate(rows)]
    originals = [text for _, text in documents if text]
    documents += [(f"mutated/{n}", mutate(rng.choice(originals), rng)) for n in range(len(originals) * 2 // 5)]
    documents += [(f"edge/{n}", text) for n, text in enumerate(EDGES)]
    rng.shuffle(documents)
    for name, text in documents:
        print(json.dumps({"id": name, "text": text}, ensure_ascii=False))


if __name__ == "__main__":
    main()
