#!/usr/bin/env python3
"""Titles, authors and dates of pages: how many of a gold set extract.html and trafilatura get right.

  pip install "trafilatura==2.3.1" lxml_html_clean
  cargo run --release -p gristmill-stages --example extract_pages -- DATA/extract/trafilatura.jsonl.gz > pred.jsonl
  page_facts.py DATA/extract/trafilatura.jsonl.gz pred.jsonl

Of pages with a gold value: `given`, how many have any value, and `right`, how many have this one (letters and digits in lower case are compared,
of dates the day). `extra` are pages that have a value and no gold one; a gold set that left a field out says nothing of it.
"""
import argparse, gzip, json, re
from collections import Counter

FIELDS = ("title", "author", "date")


def plain(value):
    value = " ".join(value) if isinstance(value, list) else value or ""
    return " ".join(re.findall(r"\w+", value.lower()))


def score(name, gold, predicted):
    counts = Counter()
    for page in gold:
        found = predicted.get(page["id"], {})
        for field in FIELDS:
            wanted, given = plain(page.get(field)), plain(found.get(field))
            if not wanted:
                counts[field, "extra"] += bool(given)
                continue
            same = given[:10] == wanted[:10] if field == "date" else given == wanted
            counts.update({(field, "gold"): 1, (field, "given"): bool(given), (field, "right"): same})
    for field in FIELDS:
        row = {kind: counts[field, kind] for kind in ("gold", "given", "right", "extra")}
        print(json.dumps({"tool": name, "field": field, **row, "share": round(row["right"] / max(1, row["gold"]), 3)}))


def by_trafilatura(gold):
    from trafilatura import extract_metadata

    for page in gold:
        found = extract_metadata(page["html"], default_url=page["url"])
        yield page["id"], {field: getattr(found, field, None) for field in FIELDS}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gold")
    parser.add_argument("predicted")
    args = parser.parse_args()
    with gzip.open(args.gold, "rt", encoding="utf-8", errors="surrogatepass") as lines:
        gold = [json.loads(line) for line in lines]
    with open(args.predicted, encoding="utf-8") as lines:
        ours = {page["id"]: page for page in map(json.loads, lines)}
    score("gristmill", gold, ours)
    score("trafilatura", gold, dict(by_trafilatura(gold)))


if __name__ == "__main__":
    main()
