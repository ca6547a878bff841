#!/usr/bin/env python3
"""Near-duplicates of one corpus by dedup.minhash, rensa and datasketch: processor time, memory and what is left over.

  pip install rensa datasketch
  dedup_speed.py FOLDER [--gristmill target/release/gristmill] [--scorer neardup_score.py] [--tools gristmill,rensa] [--rounds 3]

FOLDER holds corpus.jsonl.gz, an object of `id` and `text` a line (and the truth, where a scorer is named). Each tool is a process of its own on
one thread: JSON lines in, kept ids out. The rounds go through all tools, so that what else the machine does falls on each; the
least processor time counts. The peers are asked what FineWeb asks: sets of word 5-grams of the text in NFC and lower case, 14 bands of 8 rows,
a limit of 0.8 on their own estimate of similarity, and keep the first document of each group.
"""
import argparse, gzip, json, os, re, resource, subprocess, sys, tempfile, unicodedata

BANDS, ROWS, LIMIT = 14, 8, 0.8
WORD = re.compile(r"\w+")


def documents(folder):
    with gzip.open(os.path.join(folder, "corpus.jsonl.gz"), "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield row["id"], row["text"]


def shingles(text):
    words = WORD.findall(unicodedata.normalize("NFC", text).lower())
    if not words:
        return set()
    return {" ".join(words[at:at + 5]) for at in range(max(1, len(words) - 4))}


def by_datasketch(folder):
    from datasketch import MinHash, MinHashLSH

    index, signatures = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS)), {}
    empty = MinHash(num_perm=BANDS * ROWS, seed=1)
    for name, text in documents(folder):
        grams = shingles(text)
        signature = empty.copy()
        signature.update_batch([gram.encode() for gram in grams])
        if grams and any(signatures[other].jaccard(signature) >= LIMIT for other in index.query(signature)):
            continue
        if grams:
            index.insert(name, signature)
            signatures[name] = signature
        yield name


def by_rensa(folder):
    import rensa

    names, sets, bare = [], [], []
    for name, text in documents(folder):
        grams = shingles(text)
        (names if grams else bare).append(name)
        if grams:
            sets.append(list(grams))
    signatures = rensa.RMinHash.from_token_sets(sets, BANDS * ROWS, 42)
    index = rensa.RMinHashLSH(threshold=LIMIT, num_perm=BANDS * ROWS, num_bands=BANDS)
    for at, signature in enumerate(signatures):
        if any(signatures[other].jaccard(signature) >= LIMIT for other in index.query(signature)):
            continue
        index.insert(at, signature)
        yield names[at]
    yield from bare


def by_gristmill(folder, program, out, settings):
    kept = out + ".jsonl"
    command = [program, "stage", "dedup.minhash", "--in", os.path.join(folder, "corpus.jsonl.gz"), "--out", kept]
    subprocess.run(command + ["--fields", "id", "--threads", "1"] + settings, check=True, stdout=subprocess.DEVNULL)
    return kept


def child(args):
    if args.child == "gristmill":
        by_gristmill(args.folder, args.gristmill, args.out, [f"--set={pair}" for pair in args.set])
    else:
        with open(args.out, "w", encoding="utf-8") as out:
            out.writelines(name + "\n" for name in globals()["by_" + args.child](args.folder))
    own, below = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    used = [below] if args.child == "gristmill" else [own, below]
    cpu = sum(u.ru_utime + u.ru_stime for u in used)
    print(json.dumps({"cpu_s": cpu, "rss_mb": max(u.ru_maxrss for u in used) / 1024}))


def run(args, tool, out):
    command = [sys.executable, os.path.abspath(__file__), args.folder, "--gristmill", args.gristmill]
    command += ["--child", tool, "--out", out] + [f"--set={pair}" for pair in args.set]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def score(args, tool, out):
    if tool == "gristmill":
        with open(out + ".jsonl", encoding="utf-8") as lines, open(out, "w", encoding="utf-8") as ids:
            ids.writelines(json.loads(line)["id"] + "\n" for line in lines)
    if not args.scorer:
        return {"kept": sum(1 for _ in open(out, encoding="utf-8"))}
    command = [sys.executable, args.scorer, "--data", args.folder, "--kept", out, "--json"]
    scored = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {key: scored[key] for key in ("kept", "ideal_kept", "residual_pairs", "lost_documents")}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--gristmill", default="target/release/gristmill")
    parser.add_argument("--scorer")
    parser.add_argument("--tools", default="gristmill,rensa,datasketch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--child")
    parser.add_argument("--out")
    args = parser.parse_args()
    if args.child:
        return child(args)
    size = sum(len(text.encode()) for _, text in documents(args.folder)) / 1e6
    tools = args.tools.split(",")
    with tempfile.TemporaryDirectory() as folder:
        rounds = [{tool: run(args, tool, os.path.join(folder, tool)) for tool in tools} for _ in range(args.rounds)]
        for tool in tools:
            cpu = min(r[tool]["cpu_s"] for r in rounds)
            row = {"tool": tool, "cpu_s": round(cpu, 3), "mb_per_cpu_s": round(size / cpu, 2)}
            row["rss_mb"] = round(max(r[tool]["rss_mb"] for r in rounds), 1)
            print(json.dumps({**row, **score(args, tool, os.path.join(folder, tool))}), flush=True)


if __name__ == "__main__":
    main()
