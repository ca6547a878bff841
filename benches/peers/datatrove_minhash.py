#!/usr/bin/env python3
"""Hold `dedup.minhash` of the dialect `datatrove-0.10` against datatrove 0.10.1: signatures, clusters, kept documents, CPU time.

  pip install "datatrove[processing,io]==0.10.1" "spacy==3.8.18"
  python3 benches/peers/datatrove_minhash.py documents.jsonl --golden stages/tests/datatrove_minhash.jsonl.gz
  python3 benches/peers/datatrove_minhash.py a.jsonl b.jsonl … --gristmill target/release/gristmill

With `--golden`, families of near-duplicates are made of short documents of `datatrove_documents.py` and spread over files; each line is
`[file, text, hash of the signature or null, cluster or null, whether it is removed]`. Otherwise both build the files, one task a file, and the
dropped documents are compared by file and row; both run on one core. Exit code 1: they differ.
"""
import argparse
import gzip
import hashlib
import json
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from loguru import logger  # noqa: E402

from datatrove.data import Document  # noqa: E402
from datatrove.pipeline.dedup.minhash import (  # noqa: E402
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupSignature,
)

logger.remove()

FILES, FAMILIES, ALONE = 3, 70, 140
CHARS = (120, 700)


def cluster(texts_of_files, folder):
    """What datatrove finds, by (file, row): cluster and whether it is removed, of the documents that have a pair."""
    config = MinhashConfig()
    sigs, dups, out = (os.path.join(folder, name) for name in ("sigs", "dups", "out"))
    signer = MinhashDedupSignature(sigs, config)
    for rank, texts in enumerate(texts_of_files):
        signer.run((Document(text=text, id=str(n)) for n, text in enumerate(texts)), rank, len(texts_of_files))
    for bucket in range(config.num_buckets):
        MinhashDedupBuckets(sigs, dups, config=config).run(None, bucket, config.num_buckets)
    MinhashDedupCluster(dups, out, config, save_cluster_id=True).run(None, 0, 1)
    found = {}
    for rank in range(len(texts_of_files)):
        numbers = [read_numbers(os.path.join(out, f"{rank:06d}.{kind}")) for kind in ("clusters", "remove")]
        removed = set(numbers[1])
        for row, number in zip(numbers[0][::2], numbers[0][1::2]):
            found[rank, row] = (number, row in removed)
    return found, signer


def read_numbers(path):
    if not os.path.exists(path):
        return []
    with open(path, "rb") as file:
        return [number for (number,) in struct.iter_unpack("<I", file.read())]


def relative(text, words, rng):
    """A near-duplicate: other words in a few places, other marks, numbers and case."""
    parts = text.split(" ")
    for _ in range(rng.choice([0, 0, 1, 1, 2, 3, 5])):
        parts[rng.randrange(len(parts))] = rng.choice(words)
    way = rng.randrange(5)
    if way == 0:
        return " ".join(parts).upper()
    if way == 1:
        return "\n".join(parts) + " ..."
    if way == 2:
        return " ".join(parts).replace(".", " !").replace("e", "é")
    return " ".join(parts)


def golden(path, out):
    rng = random.Random(11)
    with open(path, encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if not row["id"].startswith("page/")]
    short = [row["text"] for row in rows if CHARS[0] <= len(row["text"]) <= CHARS[1]]
    edges = [row["text"] for row in rows if row["id"].startswith("edge/")]
    words = " ".join(short[:50]).split()
    texts = edges + short[FAMILIES : FAMILIES + ALONE]
    for text in short[:FAMILIES]:
        family = [text]
        while len(family) < rng.choice([2, 3, 4, 6, 9]):
            family.append(relative(rng.choice(family), words, rng))
        texts += family
    files = [[] for _ in range(FILES)]
    for text in texts:
        rng.choice(files).append(text)
    for texts in files:
        rng.shuffle(texts)
    with tempfile.TemporaryDirectory() as folder:
        found, signer = cluster(files, folder)
    with open(out, "wb") as file, gzip.GzipFile("", "wb", 9, file, 0) as sink:
        for rank, texts in enumerate(files):
            for row, text in enumerate(texts):
                shingles, digest = signer.get_shingles(text), None
                if shingles.size:
                    values = [value for bucket in signer.get_signature(shingles) for value in bucket]
                    digest = hashlib.sha256(struct.pack("<112Q", *values)).hexdigest()[:16]
                line = [rank, text, digest, *found.get((rank, row), (None, False))]
                sink.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
    clusters = {number for number, _ in found.values()}
    gone = sum(removed for _, removed in found.values())
    print(f"{sum(map(len, files))} documents, {len(clusters)} clusters, {gone} removed, {os.path.getsize(out)} bytes")


RECIPE = """name = "parity"

[sources.files]
kind = "source.jsonl"
paths = {paths}

[[stages]]
kind = "dedup.minhash"
dialect = "datatrove-0.10"
"""


def compare(paths, program):
    paths = sorted(map(os.path.abspath, paths))
    files, rows = [], {}
    for rank, path in enumerate(paths):
        texts, start = [], 0
        with open(path, "rb") as file:
            for line in file:
                rows[os.path.basename(path), start] = (rank, len(texts))
                texts.append(json.loads(line)["text"])
                start += len(line)
        files.append(texts)
    size = sum(len(text.encode()) for texts in files for text in texts)
    with tempfile.TemporaryDirectory() as folder:
        before = seconds(resource.RUSAGE_SELF)
        found, _ = cluster(files, folder)
        theirs_s = seconds(resource.RUSAGE_SELF) - before
        theirs = {place for place, (_, removed) in found.items() if removed}
        recipe, work = (os.path.join(folder, name) for name in ("parity.toml", "work"))
        with open(recipe, "w", encoding="utf-8") as file:
            file.write(RECIPE.format(paths=json.dumps(paths)))
        before = seconds(resource.RUSAGE_CHILDREN)
        command = [program, "build", recipe, "--workdir", work, "--threads", "1"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        ours_s = seconds(resource.RUSAGE_CHILDREN) - before
        command = [program, "inspect", work, "--sql", "select source from dropped where stage = 'dedup.minhash'", "--json"]
        said = subprocess.run(command, check=True, capture_output=True, text=True)
        sources = (row["source"].rsplit(":", 1) for row in json.loads(said.stdout))
        ours = {rows[os.path.basename(path), int(start)] for path, start in sources}
    print(f"{len(rows)} documents, {size / 1e6:.1f} MB; dropped: datatrove {len(theirs)}, ours {len(ours)}, both {len(ours & theirs)}")
    print(f"CPU seconds: datatrove {theirs_s:.2f} ({size / theirs_s / 1e6:.2f} MB/s), ours {ours_s:.2f} ({size / ours_s / 1e6:.2f} MB/s)")
    print(f"ratio {theirs_s / ours_s:.1f}")
    return int(ours != theirs)


def seconds(who):
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("documents", nargs="+")
    parser.add_argument("--golden")
    parser.add_argument("--gristmill")
    args = parser.parse_args()
    if args.golden:
        return golden(args.documents[0], args.golden)
    return compare(args.documents, args.gristmill)


if __name__ == "__main__":
    sys.exit(main())
