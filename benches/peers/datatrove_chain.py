#!/usr/bin/env python3
"""Runs datatrove's chain over WARC files, for a paired comparison with `gristmill build`.

WARC -> Trafilatura -> Gopher repetition -> Gopher quality -> MinHash (4 steps) -> PII -> tokens, on as many tasks as there are WARC
files, `--workers` at a time. Its language filter needs a model from a hub and it has no classifier of toxicity: both are left out, which
favours it. Prints seconds and documents kept.

    pip install "datatrove[processing,io]==0.10.1" "spacy>=3.8" lxml_html_clean
    python datatrove_chain.py WARC_FOLDER WORK_FOLDER TOKENIZER_JSON --workers 2
"""
import argparse
import glob
import os
import sys
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.pipeline.readers import JsonlReader, WarcReader
from datatrove.pipeline.tokens import DocumentTokenizer
from datatrove.pipeline.writers import JsonlWriter


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("warc")
    parser.add_argument("work")
    parser.add_argument("tokenizer")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    tasks = len(glob.glob(os.path.join(args.warc, "*.warc.gz")))
    path = lambda name: os.path.join(args.work, name)

    def run(name, steps, tasks=tasks):
        executor = LocalPipelineExecutor(
            pipeline=steps, tasks=tasks, workers=args.workers, logging_dir=path("logs-" + name), skip_completed=False
        )
        executor.run()

    start = time.time()
    run("filter", [
        WarcReader(args.warc, glob_pattern="*.warc.gz"),
        Trafilatura(favour_precision=True),
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        JsonlWriter(path("filtered")),
    ])
    run("signatures", [JsonlReader(path("filtered")), MinhashDedupSignature(output_folder=path("signatures"))])
    run("buckets", [MinhashDedupBuckets(input_folder=path("signatures"), output_folder=path("buckets"))], tasks=14)
    run("cluster", [MinhashDedupCluster(input_folder=path("buckets"), output_folder=path("remove"))], tasks=1)
    run("final", [
        JsonlReader(path("filtered")),
        MinhashDedupFilter(input_folder=path("remove")),
        PIIFormatter(),
        JsonlWriter(path("final")),
    ])
    run("tokens", [
        JsonlReader(path("final")),
        DocumentTokenizer(output_folder=path("tokens"), tokenizer_name_or_path=args.tokenizer, eos_token="<|endoftext|>"),
    ])
    seconds = time.time() - start
    import gzip
    kept = sum(sum(1 for _ in gzip.open(f)) for f in glob.glob(path("final/*.gz")))
    print(f"{seconds:.1f} s, {kept} documents kept", file=sys.stdout)


if __name__ == "__main__":
    main()
