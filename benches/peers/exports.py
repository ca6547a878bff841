"""Reads what `gristmill export` wrote with readers that share nothing with it, and compares with the token shards.

    python benches/peers/exports.py DATASET EXPORT...

DATASET is a dataset folder; each EXPORT a folder that `gristmill export DATASET --to FORMAT` made. Megatron files are read as
their index says, .ds files by NumPy and, where datatrove is installed, by its own dataset class, .npy files by
numpy.memmap. Exit code 0: every document is there once with its tokens; 1: something differs; 2: wrong use.

Needs numpy and pyarrow; datatrove for its own merger, and torch too for its dataset class.
"""

import csv
import gzip
import json
import pathlib
import shutil
import struct
import sys
import tempfile

import numpy as np


def shards(dataset, split, tokens):
    """Documents by id, and rows without padding, out of the token shards."""
    import pyarrow.parquet as pq

    pieces, rows = {}, []
    for path in sorted((dataset / tokens["folder"] / split).glob("*.parquet")):
        table = pq.read_table(path)
        columns = [table.column(n).to_pylist() for n in ("input_ids", "doc_lens", "doc_ids", "doc_offsets")]
        for ids, lens, docs, offsets in zip(*columns):
            at = 0
            for length, doc, offset in zip(lens, docs, offsets):
                pieces.setdefault(doc, []).append((offset, ids[at : at + length]))
                at += length
            rows.append(np.array(ids[:at]))
    documents = {}
    for doc, parts in pieces.items():
        parts.sort(key=lambda part: part[0])
        documents[doc] = np.concatenate([np.array(ids) for _, ids in parts])
    return documents, rows


def megatron(folder, split):
    types = {1: np.uint8, 2: np.int8, 3: np.int16, 4: np.int32, 5: np.int64, 8: np.uint16}
    raw = (folder / f"{split}.idx").read_bytes()
    assert raw[:9] == b"MMIDIDX\x00\x00", "the magic bytes"
    version, code, count, borders = struct.unpack_from("<QBQQ", raw, 9)
    assert version == 1 and borders == count + 1, (version, count, borders)
    at = 9 + struct.calcsize("<QBQQ")
    lengths = np.frombuffer(raw, np.int32, count, at)
    pointers = np.frombuffer(raw, np.int64, count, at + lengths.nbytes)
    documents = np.frombuffer(raw, np.int64, borders, at + lengths.nbytes + pointers.nbytes)
    assert at + lengths.nbytes + pointers.nbytes + documents.nbytes == len(raw), "the length of the index"
    assert (documents == np.arange(borders)).all(), "document borders"
    data = np.memmap(folder / f"{split}.bin", dtype=types[code], mode="r")
    size = data.dtype.itemsize
    return [np.array(data[p // size : p // size + n]) for p, n in zip(pointers, lengths)], None


def datatrove(folder, split):
    told = (folder / f"{split}.ds.metadata").read_text().split("\n")
    size = int(told[0].rsplit("|", 1)[1])
    data = np.memmap(folder / f"{split}.ds", dtype={2: np.uint16, 4: np.uint32}[size], mode="r")
    assert int(told[1]) == len(data), "the count of tokens in the metadata"
    ends = np.fromfile(folder / f"{split}.ds.index", np.uint64).astype(np.int64)
    own_reader(folder / f"{split}.ds", data, ends, size)
    starts = np.concatenate([[0], ends[:-1]])
    return [np.array(data[a:b]) for a, b in zip(starts, ends)], None


def own_reader(path, data, ends, size, length=64):
    """Reads the file with datatrove's dataset class and compares tokens and positions in documents."""
    try:
        import torch  # noqa: F401
        from datatrove.utils.dataset import DatatroveFileDataset
    except ImportError:
        return own_merger(path, data, ends)
    read = DatatroveFileDataset(str(path), length, token_size=size, return_positions=True)
    position, start = np.zeros(len(data), np.int64), 0
    for end in ends:
        position[start:end] = np.arange(end - start)
        start = end
    for n in range(len(read)):
        item, at = read[n], n * (length + 1)
        window = slice(at, at + length + 1)
        assert (item["input_ids"].numpy() == data[window]).all(), f"datatrove's reader, window {n}"
        # It counts from 0 at the window's start, so a document that began before is told from there.
        found = item["positions"].numpy()
        expected = np.minimum(position[window], np.arange(length + 1))
        assert (found == expected).all(), f"datatrove's positions, window {n}"
    print(f"  datatrove's own reader: {len(read)} windows agree, positions too")


def own_merger(path, data, ends):
    """Lets datatrove read and merge the files, without shuffling, and compares what it writes."""
    try:
        from datatrove.pipeline.tokens.merger import DocumentTokenizerMerger
    except ImportError:
        print("  datatrove is not here: its own readers are left out")
        return
    with tempfile.TemporaryDirectory() as work:
        for name in path.parent.glob(f"{path.name}*"):
            (pathlib.Path(work) / "in").mkdir(exist_ok=True)
            shutil.copy(name, pathlib.Path(work) / "in" / name.name)
        DocumentTokenizerMerger(f"{work}/in", f"{work}/out", "merged", shuffle=False, progress=False).run()
        (merged,) = pathlib.Path(work, "out").glob("*.ds")
        assert (np.fromfile(merged, data.dtype) == data).all(), "tokens that datatrove read"
        assert (np.fromfile(f"{merged}.index", np.uint64) == ends).all(), "document ends that datatrove read"
        own = pathlib.Path(f"{merged}.metadata").read_text().split("\n")
        told = pathlib.Path(f"{path}.metadata").read_text().split("\n")
        assert own[1] == told[1], "the count of tokens that datatrove tells"
    print(f"  datatrove's own merger read {len(ends)} documents and agrees")


def npy(folder, split):
    told = json.loads((folder / "export.json").read_text())
    data = np.memmap(folder / f"{split}.npy", dtype={2: np.uint16, 4: np.uint32}[told["token_bytes"]], mode="r")
    with gzip.open(folder / f"{split}.csv.gz", "rt", newline="") as file:
        table = [(int(a), int(b), name) for a, b, name, _, _ in csv.reader(file)]
    assert [a for a, _, _ in table] == [0] + [b for _, b, _ in table][:-1], "documents lie side by side"
    assert table[-1][1] == len(data), "the last document ends the file"
    return [np.array(data[a:b]) for a, b, _ in table], [name for _, _, name in table]


def compare(dataset, folder):
    told = json.loads((folder / "export.json").read_text())
    tokens = json.loads((dataset / "manifest.json").read_text())["tokens"]
    differences = 0
    for split, counts in told["splits"].items():
        documents, rows = shards(dataset, split, tokens)
        found, names = {"megatron": megatron, "datatrove": datatrove, "npy": npy}[told["to"]](folder, split)
        expected = [documents[doc] for doc in sorted(documents)] if told["by"] == "documents" else rows
        same = len(found) == len(expected) and all(np.array_equal(a, b) for a, b in zip(found, expected))
        same &= counts["tokens"] == sum(map(len, expected)) and counts["entries"] == len(expected)
        if names and told["by"] == "documents":
            same &= names == sorted(documents)
        differences += not same
        verdict = "agree" if same else "DIFFER"
        print(f"{told['to']} by {told['by']}, {split}: {len(found)} entries, {counts['tokens']} tokens {verdict}")
    return differences


def main():
    if len(sys.argv) < 3:
        print(__doc__)
        return 2
    dataset, *folders = map(pathlib.Path, sys.argv[1:])
    return 1 if sum(compare(dataset, folder) for folder in folders) else 0


if __name__ == "__main__":
    sys.exit(main())
