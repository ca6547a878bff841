#!/usr/bin/env python3
"""Pages a second of one core: extract.html against trafilatura and resiliparse, on the same pages in one run.

  pip install resiliparse trafilatura
  extract_speed.py GOLD_FOLDER [--runner target/release/examples/extract_pages] [--step 4]

Every STEP-th page of each file is taken. The pages are dealt into parts; for each part the three tools run one after the other, so that
what else the machine does falls on all of them. Times are processor time of the extraction alone, reading left out.
"""
import argparse, glob, gzip, json, logging, os, subprocess, tempfile, time

logging.disable(logging.CRITICAL)
PARTS = 8


def peers():
    import trafilatura
    from resiliparse.extract.html2text import extract_plain_text

    return {
        "trafilatura": lambda html: trafilatura.extract(html, include_comments=False, include_tables=True),
        "resiliparse": lambda html: extract_plain_text(html, main_content=True),
    }


def timed(tool, pages):
    start = time.process_time()
    for page in pages:
        tool(page["html"])
    return time.process_time() - start


def ours(runner, pages):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "pages.jsonl.gz")
        with gzip.open(path, "wt", encoding="utf-8", errors="surrogatepass", compresslevel=1) as out:
            out.writelines(json.dumps(page) + "\n" for page in pages)
        done = subprocess.run([runner, path], check=True, capture_output=True, text=True)
    return sum(json.loads(line)["cpu_s"] for line in done.stdout.split("\n") if line.startswith("{"))


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("gold")
    ap.add_argument("--runner", default="target/release/examples/extract_pages")
    ap.add_argument("--step", type=int, default=4)
    args = ap.parse_args()
    pages = []
    for path in sorted(glob.glob(os.path.join(args.gold, "*.jsonl.gz"))):
        with gzip.open(path, "rt", encoding="utf-8", errors="surrogatepass") as lines:
            rows = [json.loads(line) for number, line in enumerate(lines) if number % args.step == 0]
        pages += [{"id": row["id"], "url": row.get("url"), "html": row["html"]} for row in rows]
    seconds = dict.fromkeys(["gristmill", "trafilatura", "resiliparse"], 0.0)
    for part in range(PARTS):
        some = pages[part::PARTS]
        seconds["gristmill"] += ours(args.runner, some)
        for name, tool in peers().items():
            seconds[name] += timed(tool, some)
    for name, spent in seconds.items():
        ratio = spent / seconds["gristmill"]
        print(f"{name:<12} {len(pages)} pages {spent:8.2f} s {len(pages) / spent:8.1f} pages/s {ratio:6.2f} times ours")


if __name__ == "__main__":
    main()
