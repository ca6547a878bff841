"""Encodes JSON lines with the tokenizers of others: MB per CPU-second cold and warm, and one hash over all ids.

    python3 benches/peers/encode_speed.py tokenizer.json documents.jsonl [--rounds 3] [--only hf,fastokens,gigatoken]

One thread. A document whose text holds "<|" is left out, as tools differ on the names of special tokens. The hash is FNV-1a
over the ids of each document, 32 bits each, with 0xffffffff behind it: `tokens_speed --tokenizer` prints the same for ours.
"""

import argparse
import json
import os
import resource

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("RAYON_NUM_THREADS", "1")


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def checksum(documents):
    import numpy

    whole = numpy.concatenate([numpy.append(numpy.asarray(ids, dtype=numpy.uint32), numpy.uint32(0xFFFFFFFF)) for ids in documents])
    # FNV-1a over 64 lanes, so that numpy can do it; the lanes are folded in order.
    lanes = 64
    whole = numpy.pad(whole, (0, -len(whole) % lanes)).reshape(-1, lanes)
    state = numpy.full(lanes, 0xCBF29CE484222325, dtype=numpy.uint64)
    prime = numpy.uint64(0x100000001B3)
    with numpy.errstate(over="ignore"):
        for row in whole.astype(numpy.uint64):
            state = (state ^ row) * prime
        total = numpy.uint64(0xCBF29CE484222325)
        for lane in state:
            total = (total ^ lane) * prime
    return f"{int(total):016x}"


def hf(path):
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(path)
    return lambda texts: [e.ids for e in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def fastokens(path):
    import fastokens

    tokenizer = fastokens.Tokenizer.from_file(path)
    return lambda texts: [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


def gigatoken(path):
    import gigatoken

    with open(path, encoding="utf-8") as file:
        tokenizer = gigatoken.Tokenizer.from_json(file.read())
    return lambda texts: tokenizer.encode_batch_list(texts)


ENCODERS = {"hf": hf, "fastokens": fastokens, "gigatoken": gigatoken}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tokenizer")
    parser.add_argument("documents")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(ENCODERS))
    arguments = parser.parse_args()
    with open(arguments.documents, encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    texts = [text for text in texts if "<|" not in text]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{len(texts)} documents, {megabytes:.2f} MB")
    for name in arguments.only.split(","):
        try:
            encode = ENCODERS[name](arguments.tokenizer)
            encode(["warm up the pool, not the words"])
            speeds = []
            for _ in range(arguments.rounds):
                start = cpu()
                ids = encode(texts)
                speeds.append(megabytes / (cpu() - start))
            print(f"{name:10} cold {speeds[0]:7.1f}  warm {max(speeds[1:], default=0):7.1f} MB/CPU-s  ids {checksum(ids)}", flush=True)
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            print(f"{name:10} not run: {error}")


main()
