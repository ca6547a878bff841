#!/usr/bin/env python3
"""Writes a small world for alignment: digits that are put in order.

    python3 examples/align/world.py FOLDER [SEED]

text.jsonl    documents that tell of digits in order, backwards, the least and the greatest: what a base model learns
chats.jsonl   few questions with answers, most of them bare, a quarter with words before: `align sft`
style.jsonl   the same answer, better with words before, worse bare: `align dpo`
right.jsonl   a right answer, and one with two digits swapped or one changed: `align reward`
tasks.jsonl   questions with their answers: `align grpo`
held-*.jsonl  the same over digits that stand in none of the other files

A fifth of all digits of a question is held out, by a hash of them alone: they are in no other file, not in text.jsonl either.
"""

import hashlib
import json
import random
import sys
from pathlib import Path

LENGTH = 3
WORDS = "Here you are: "


def held_out(digits):
    return hashlib.sha256(" ".join(digits).encode()).digest()[0] % 5 == 0


def draw(rng, kept_apart):
    while True:
        digits = [rng.choice("0123456789") for _ in range(LENGTH)]
        if held_out(digits) == kept_apart:
            return digits


def question(digits):
    return f"Sort {' '.join(digits)}"


def in_order(digits):
    return " ".join(sorted(digits))


def text(rng):
    sentences = []
    for _ in range(rng.randint(1, 3)):
        digits = draw(rng, False)
        shown = " ".join(digits)
        sentences.append(
            rng.choice(
                [
                    f"The digits {shown} in order are {in_order(digits)}.",
                    f"The digits {shown} in order are {in_order(digits)}.",
                    f"Backwards {shown} is {' '.join(reversed(digits))}.",
                    f"Of {shown} the least is {min(digits)}.",
                    f"Of {shown} the greatest is {max(digits)}.",
                ]
            )
        )
    return {"text": " ".join(sentences)}


def chat(rng):
    digits = draw(rng, False)
    words = WORDS if rng.random() < 0.25 else ""
    return {"prompt": question(digits), "completion": words + in_order(digits)}


def wrong(rng, digits):
    """Digits in an order that is wrong, or with one changed."""
    answer = sorted(digits)
    while answer == sorted(digits):
        at = rng.randrange(LENGTH)
        if rng.random() < 0.5:
            other = rng.randrange(LENGTH)
            answer[at], answer[other] = answer[other], answer[at]
        else:
            answer[at] = rng.choice("0123456789")
    return " ".join(answer)


def style(rng, kept_apart):
    digits = draw(rng, kept_apart)
    answer = in_order(digits)
    return {"prompt": question(digits), "chosen": WORDS + answer, "rejected": answer}


def right(rng, kept_apart):
    digits = draw(rng, kept_apart)
    words = WORDS if rng.random() < 0.5 else ""
    return {
        "prompt": question(digits),
        "chosen": words + in_order(digits),
        "rejected": words + wrong(rng, digits),
    }


def task(rng, kept_apart):
    digits = draw(rng, kept_apart)
    return {"prompt": question(digits), "answer": in_order(digits)}


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def main():
    folder = Path(sys.argv[1])
    seed = sys.argv[2] if len(sys.argv) > 2 else "0"
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(f"world {seed}")
    write(folder / "text.jsonl", (text(rng) for _ in range(8000)))
    write(folder / "chats.jsonl", (chat(rng) for _ in range(400)))
    write(folder / "style.jsonl", (style(rng, False) for _ in range(600)))
    write(folder / "right.jsonl", (right(rng, False) for _ in range(1500)))
    write(folder / "tasks.jsonl", (task(rng, False) for _ in range(600)))
    write(folder / "held-style.jsonl", (style(rng, True) for _ in range(200)))
    write(folder / "held-right.jsonl", (right(rng, True) for _ in range(400)))
    write(folder / "held-tasks.jsonl", (task(rng, True) for _ in range(400)))


if __name__ == "__main__":
    main()
