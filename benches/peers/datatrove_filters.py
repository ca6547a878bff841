#!/usr/bin/env python3
"""Hold our filters of the dialect `datatrove-0.10` against datatrove 0.10.1: verdicts, reasons, texts, words, and CPU time.

  pip install "datatrove[processing,io]==0.10.1" "spacy==3.8.18"
  cargo build --release --example datatrove_filters -p gristmill-stages
  python3 benches/peers/datatrove_filters.py documents.jsonl --runner target/release/examples/datatrove_filters
  python3 benches/peers/datatrove_filters.py documents.jsonl --golden stages/tests/datatrove.jsonl.gz

The documents come from `datatrove_documents.py`. `--timed N` takes the first N documents through FineWeb's chain (repetition, quality, C4
without the rule on line ends, FineWeb quality) in datatrove and in ours, on one core, and prints both CPU times and their ratio.
`--golden` writes verdicts for the tests instead, on short documents of openly licensed text alone, with the words as a hash.
"""
import argparse
import gzip
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.simplefilter("ignore")

from loguru import logger  # noqa: E402

import datatrove.pipeline.filters.c4_filters as c4_filters  # noqa: E402
from datatrove.data import Document  # noqa: E402
from datatrove.pipeline.filters import (  # noqa: E402
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.utils.text import split_into_sentences, split_into_words  # noqa: E402

logger.remove()

FILTERS = {
    "gopher_repetition": GopherRepetitionFilter(),
    "gopher_quality": GopherQualityFilter(),
    "c4_quality": c4_filters.C4QualityFilter(),
    "c4_quality_fineweb": c4_filters.C4QualityFilter(filter_no_terminal_punct=False),
    "fineweb_quality": FineWebQualityFilter(),
}
CHAIN = ["gopher_repetition", "gopher_quality", "c4_quality_fineweb", "fineweb_quality"]
GOLDEN_CHARS, GOLDEN_DOCS = (200, 2000), 800


def judge(name, text):
    """Verdict and reason, and the text that is left."""
    document = Document(text=text, id="x")
    try:
        result = FILTERS[name].filter(document)
    except ZeroDivisionError:
        return [False, "empty"], text
    return (list(result) if isinstance(result, tuple) else [result, None]), document.text


def chain(text):
    for name in CHAIN:
        (keep, reason), text = judge(name, text)
        if not keep:
            return [False, f"{name}:{reason}"]
    return [True, None]


def describe(row):
    text, counts = row["text"], []
    out = {"id": row["id"], "text": text, "words": split_into_words(text, "eng")}
    out["sentences"] = len(split_into_sentences(text, "eng"))

    def counted(line, language):
        sentences = split_into_sentences(line, language)
        counts.append(len(sentences))
        return sentences

    c4_filters.split_into_sentences = counted
    for name in FILTERS:
        counts.clear()
        out[name], left = judge(name, text)
        if name.startswith("c4"):
            out[name + "_sentences"] = list(counts)
            if out[name][0]:
                out[name + "_text"] = left
    c4_filters.split_into_sentences = split_into_sentences
    out["chain"] = chain(text)
    return out


def golden(rows, path):
    """A golden row: the text, its words as count and hash, its sentences, and a reason or null for each filter."""
    least, most = GOLDEN_CHARS
    short = [r for r in rows if not r["id"].startswith("page/") and least <= len(r["text"]) <= most or r["id"].startswith("edge/")]
    seen, chosen = {}, []
    for row in map(describe, short):
        # Of every combination of reasons at most sixty, so that rare ones have room.
        key = tuple(row[name][1] for name in FILTERS)
        seen[key] = seen.get(key, 0) + 1
        if seen[key] <= 60 and len(chosen) < GOLDEN_DOCS:
            digest = hashlib.sha256("\n".join(row["words"]).encode()).hexdigest()[:16]
            left = [row.get(name + "_text") for name in ("c4_quality", "c4_quality_fineweb")]
            digests = [t if t is None else hashlib.sha256(t.encode()).hexdigest()[:16] for t in left]
            reasons = [row[name][1] for name in [*FILTERS, "chain"]]
            chosen.append([row["text"], len(row["words"]), digest, row["sentences"], reasons, digests])
    with open(path, "wb") as file, gzip.GzipFile("", "wb", 9, file, 0) as out:
        for row in chosen:
            out.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    print(len(chosen), "documents,", os.path.getsize(path), "bytes,", len(seen), "combinations of reasons")


def timed(rows, runner):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        file.flush()
        texts = [row["text"] for row in rows]
        size = sum(len(text.encode()) for text in texts)
        chain(texts[0])
        start = time.process_time()
        kept = sum(chain(text)[0] for text in texts)
        theirs = time.process_time() - start

        def ours(passes):
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            said = subprocess.run([runner, "pass", str(passes), file.name], check=True, capture_output=True, text=True)
            return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before, said.stdout.strip()

        passes = 20
        once, _ = ours(1)
        many, said = ours(passes + 1)
        mine = (many - once) / passes
    print(f"{len(texts)} documents, {size / 1e6:.1f} MB; kept: datatrove {kept}, ours {said}")
    print(f"CPU seconds: datatrove {theirs:.2f} ({size / theirs / 1e6:.2f} MB/s), ours {mine:.4f} ({size / mine / 1e6:.1f} MB/s)")
    print(f"ratio {theirs / mine:.1f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("documents")
    parser.add_argument("--runner")
    parser.add_argument("--golden")
    parser.add_argument("--timed", type=int, default=2000)
    parser.add_argument("--only-time", action="store_true")
    args = parser.parse_args()
    with open(args.documents, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    if args.golden:
        return golden(rows, args.golden)
    if not args.only_time:
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            file.writelines(json.dumps(describe(row), ensure_ascii=False) + "\n" for row in rows)
            file.flush()
            subprocess.run([args.runner, "compare", file.name], check=True)
    timed(rows[: args.timed], args.runner)


if __name__ == "__main__":
    sys.exit(main())
