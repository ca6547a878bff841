#!/usr/bin/env python3
"""Writes what dolma's tagger gopher_v2 measures of small texts: the golden file of the dialect `dolma`.

The tagger needs none of dolma's dependencies, so the wheel is enough:

    pip download --no-deps dolma==1.2.1 && unzip dolma-1.2.1-*.whl -d dolma-1.2.1
    python3 benches/peers/dolma_gopher.py dolma-1.2.1 > stages/src/filter/gopher/dolma.jsonl

The texts are made here from a seed: lines of few words, so that everything repeats. A line of output has the text and the measures by name.
"""
import importlib.util
import json
import random
import sys
import types

WORDS = ["the", "The", "mill", "of", "and", "#tag", "#", "…", "wait…", "...", "a", "é", "日本", "12", "3.5", "stone", "turns", "-", "*", "with"]
ENDS = ["\n", "\n", "\n\n", "\n\n\n", " ", "…\n", "...\n", "\r\n", "\u2028"]
STARTS = ["", "", "", "* ", "- ", " - ", "• "]


def tagger(folder):
    """The module of the tagger, its base classes replaced by nothing."""
    for name in ["dolma", "dolma.taggers", "dolma.core", "dolma.core.data_types", "dolma.core.registry", "dolma.core.taggers"]:
        sys.modules[name] = types.ModuleType(name)
    for name in ["DocResult", "Document", "Span"]:
        setattr(sys.modules["dolma.core.data_types"], name, type(name, (), {}))
    registry = type("TaggerRegistry", (), {"add": staticmethod(lambda name: lambda cls: cls)})
    sys.modules["dolma.core.registry"].TaggerRegistry = registry
    sys.modules["dolma.core.taggers"].BaseTagger = type("BaseTagger", (), {})
    spec = importlib.util.spec_from_file_location("dolma.taggers.gopher", folder + "/dolma/taggers/gopher.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def text(rng):
    words = rng.sample(WORDS, rng.randint(2, len(WORDS)))
    lines = [rng.choice(STARTS) + " ".join(rng.choices(words, k=rng.randint(1, 9))) for _ in range(rng.randint(1, 5))]
    picked = rng.choices(lines, k=rng.randint(1, 12))
    return rng.choice(["", "", "\n"]) + "".join(line + rng.choice(ENDS) for line in picked)


def main():
    module = tagger(sys.argv[1])
    rng = random.Random(7)
    for each in ["x", "\n", " \n ", "a b"] + [text(rng) for _ in range(200)]:
        found = module.get_attributes(each, ignore_empty_lines=True)
        grams = dict(found.fraction_of_characters_in_most_common_ngram + found.fraction_of_characters_in_duplicate_ngrams)
        gopher = [found.word_count, found.median_word_length, found.symbol_to_word_ratio,
                  found.fraction_of_lines_starting_with_bullet_point, found.fraction_of_lines_ending_with_ellipsis,
                  found.fraction_of_words_with_alpha_character, found.required_word_count]
        repetition = [found.fraction_of_duplicate_lines, found.fraction_of_characters_in_duplicate_lines]
        repetition += [grams.get(n, 0.0) for n in range(2, 11)]
        print(json.dumps({"text": each, "gopher": gopher, "repetition": repetition}, ensure_ascii=False))


if __name__ == "__main__":
    main()
