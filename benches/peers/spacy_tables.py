#!/usr/bin/env python3
"""Write the tables of the word splitter `spacy-en` from an installed spaCy (MIT licence).

  pip install "spacy==3.8.18"
  python3 benches/peers/spacy_tables.py > stages/assets/spacy-en.txt

Nothing but facts is taken: which characters belong to which class, which strings are units of measure, and which strings are
cut in which places whatever the rules say. A line is a table: its name, a space, its items with spaces between.
"""
import itertools
import re
import sys

import spacy

def ranges(belongs):
    """Closed ranges in hexadecimal; `a-b/2` takes every second character."""
    points = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF and belongs(chr(c))]
    out, at = [], 0
    while at < len(points):
        best = (1, 1)
        for step in (1, 2):
            end = at
            while end + 1 < len(points) and points[end + 1] - points[end] == step:
                end += 1
            best = max(best, (end - at + 1, -step))
        count, step = best[0], -best[1] if best[0] > 1 else 1
        last = points[at + count - 1]
        out.append(f"{points[at]:x}" + (f"-{last:x}" if count > 1 else "") + ("/2" if step == 2 and count > 1 else ""))
        at += count
    return " ".join(out)


def lookbehind(pieces, head, tail):
    """The class inside `(?<=[…])tail` of the one piece that starts with `head`."""
    found = [p for p in pieces if p.startswith("(?<=[" + head) and p.endswith(tail)]
    assert len(found) == 1, found
    return re.compile("[" + found[0][len("(?<=[") : -len(tail)] + "]")


def main():
    assert spacy.__version__ == "3.8.18", spacy.__version__
    nlp = spacy.blank("en")
    rules, defaults = nlp.tokenizer.rules, nlp.Defaults
    prefix, suffix = nlp.tokenizer.prefix_search, nlp.tokenizer.suffix_search
    infixes, suffixes = defaults.infixes, defaults.suffixes
    icons = re.compile(next(p for p in infixes if p.startswith("[\\u00A6")))
    comma = next(p for p in infixes if "),(" in p)
    alpha = re.compile(comma[len("(?<=") : comma.index("),(")])
    dot = next(p for p in infixes if "\\.(?=" in p)
    before, after = dot[len("(?<=") : -1].split(")\\.(?=")
    upper = next(p for p in suffixes if p.startswith("(?<=[A-Z"))
    half = (len(upper) - len("(?<=)\\.")) // 2
    one = upper[len("(?<=") : len("(?<=") + half]
    assert one + one == upper[len("(?<=") : -len(")\\.")]
    url = nlp.Defaults.url_match.__self__.pattern
    top = url[url.rindex("\\.)+(?:[") + len("\\.)+(?:") : url.rindex("{2,63}")]
    units = next(p for p in suffixes if p.startswith("(?<=[0-9])(?:km"))
    money = next(p for p in suffixes if p.startswith("(?<=[0-9])(?:\\$"))
    inner = lambda p: p[len("(?<=[0-9])(?:") : -1].replace("\\", "").split("|")  # noqa: E731
    sentencizer = nlp.add_pipe("sentencizer")
    tables = {
        "alpha": ranges(alpha.match),
        "lower": ranges(re.compile(top).match),
        "upper": ranges(re.compile(one).match),
        "icon": ranges(icons.match),
        "infix_before_dot": ranges(re.compile(before).match),
        "infix_after_dot": ranges(re.compile(after).match),
        "prefix": ranges(lambda c: c != "+" and prefix(c)),
        "suffix": ranges(suffix),
        "suffix_before_dot": ranges(lookbehind(suffixes, "0-9a-z", "])\\.").match),
        "sentence_end": ranges(lambda c: c in sentencizer.punct_chars),
        "unit": " ".join(sorted(set(inner(units) + inner(money)), key=lambda u: u.encode())),
    }
    for name, items in tables.items():
        print(name, items)
    # A special case stands with the bytes at which its words end; those of mere white space cut nothing.
    cases = {k: [next(iter(t.values())) for t in v] for k, v in rules.items() if not any(c.isspace() for c in k)}
    assert all("".join(v) == k for k, v in cases.items())
    for text in sorted(cases, key=lambda k: k.encode()):
        ends = itertools.accumulate(len(word.encode()) for word in cases[text])
        print("special", text, *ends)


if __name__ == "__main__":
    sys.exit(main())
