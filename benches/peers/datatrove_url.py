#!/usr/bin/env python3
"""Holds `filter.url` with `dialect = "datatrove-0.10"` against datatrove's URLFilter and its own lists, address by address.

Makes addresses (those of a file, and of every n-th domain and address that datatrove lists), asks both, and tells how often verdict and
reason agree, and how fast each is on one core.

    pip install "datatrove[processing,io]==0.10.1"
    python3 benches/peers/datatrove_url.py target/release/gristmill WORK_FOLDER [FILE_OF_ADDRESSES]
"""
import collections
import json
import os
import resource
import subprocess
import sys
import tarfile
import time

import tldextract
from datatrove.data import Document
from datatrove.pipeline.filters import URLFilter
from datatrove.utils._import_utils import ASSETS_PATH

LISTED = 20000


def spread(lines, count):
    return lines[:: max(1, len(lines) // count)][:count]


def user_seconds():
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime


def main():
    gristmill, work = os.path.abspath(sys.argv[1]), sys.argv[2]
    os.makedirs(work, exist_ok=True)
    with tarfile.open(os.path.join(ASSETS_PATH, "url_filterblacklistsv0_3_0.tar.gz")) as tar:
        tar.extractall(work)
    read = lambda name: open(os.path.join(work, name)).read().split("\n")
    domains, urls = [[line for line in read(name) if line] for name in ["domains", "urls"]]
    addresses = open(sys.argv[3]).read().split("\n") if len(sys.argv) > 3 else []
    addresses += [f"https://www.{d}/a/page" for d in spread(domains, LISTED)] + [f"http://{d}" for d in spread(domains, LISTED)]
    addresses += spread(urls, LISTED) + ["http://" + u for u in spread(urls, LISTED)]
    addresses = [a for a in dict.fromkeys(addresses) if a.strip() and " " not in a]
    with open(os.path.join(work, "in.jsonl"), "w") as out:
        for n, url in enumerate(addresses):
            out.write(json.dumps({"id": f"{n}", "url": url, "text": "x"}) + "\n")

    peer = URLFilter()
    peer.tldextractor = tldextract.TLDExtract(suffix_list_urls=())
    peer.download_data()
    start = time.process_time()
    expected = [peer.filter(Document(text="x", id="", metadata={"url": url})) for url in addresses]
    peer_seconds = time.process_time() - start
    expected = ["keep" if found is True else found[1] for found in expected]

    snapshot = os.path.join(os.path.dirname(tldextract.__file__), ".tld_set_snapshot")
    lists = {"domains": os.path.join(work, "domains"), "urls": os.path.join(work, "urls"), "suffixes": snapshot}
    for key, name in [("words", "banned_words"), ("soft_words", "soft_banned_words"), ("subwords", "banned_subwords")]:
        lists[key] = os.path.join(ASSETS_PATH, name + ".txt")
    command = [gristmill, "stage", "filter.url", "--in", "in.jsonl", "--out", "kept.jsonl", "--dropped", "dropped.jsonl"]
    for key, value in [("dialect", '"datatrove-0.10"'), ("lists", "false")] + [(k, json.dumps(v)) for k, v in lists.items()]:
        command += ["--set", f"{key}={value}"]
    before = user_seconds()
    subprocess.run(command, cwd=work, check=True, stdout=subprocess.DEVNULL)
    seconds = user_seconds() - before
    found = ["keep"] * len(addresses)
    for line in open(os.path.join(work, "dropped.jsonl")):
        row = json.loads(line)
        found[int(row["id"])] = row["dropped"]["reason"]
    apart = [(url, a, b) for url, a, b in zip(addresses, expected, found) if a != b]
    for case in apart[:20]:
        print("apart:", *case)
    print(f"{len(addresses)} addresses, {len(apart)} apart; {dict(collections.Counter(expected))}")
    print(f"datatrove {peer_seconds:.2f} s; gristmill {seconds:.2f} s with reading {len(domains)} domains")


if __name__ == "__main__":
    main()
