#!/usr/bin/env python3
"""Reads token shards with other tools and holds what they see against each other and against the footers.

    pip install pyarrow polars duckdb pandas datasets fastparquet pyspark xxhash
    python shards.py DATASET/tokens

Each client that is installed reads `input_ids` of all shards, in the order of their names: rows, tokens, and a sum that depends on the
order of tokens and on where rows end must be the same. The footers' counts and content hashes are checked with pyarrow, and the
size of `input_ids` is held against a file that pyarrow writes PLAIN with zstd 3. Exit status 0: all agree.
"""
import argparse
import glob
import importlib.metadata
import os
import sys
import tempfile
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

COLUMN = "input_ids"
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")


class Seen:
    """Rows, tokens, and sums of (place + 1)·(value + 1) modulo 2^64 over tokens and over lengths of rows."""

    def __init__(self):
        self.rows, self.tokens, self.sums = 0, 0, [0, 0]

    def add(self, values, lengths):
        values, lengths = np.asarray(values, np.uint64), np.asarray(lengths, np.uint64)
        assert int(lengths.sum()) == len(values), "lengths of rows do not fit the tokens"
        for at, (start, numbers) in enumerate([(self.tokens, values), (self.rows, lengths)]):
            places = np.arange(start + 1, start + 1 + len(numbers), dtype=np.uint64)
            self.sums[at] = (self.sums[at] + int((places * (numbers + np.uint64(1))).sum())) % 2**64
        self.rows, self.tokens = self.rows + len(lengths), self.tokens + len(values)

    def add_arrow(self, column):
        assert column.null_count == 0 and column.flatten().null_count == 0, "nulls"
        self.add(column.flatten().to_numpy(), np.diff(column.offsets.to_numpy()))

    def add_lists(self, lists):
        lists = [np.asarray(one) for one in lists]
        if lists:
            self.add(np.concatenate(lists), [len(one) for one in lists])

    def told(self):
        return self.rows, self.tokens, *(f"{n:016x}" for n in self.sums)


def read_pyarrow(files, seen):
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(1024, columns=[COLUMN]):
            seen.add_arrow(batch.column(0))


def read_dataset(files, seen):
    import pyarrow.dataset

    for batch in pyarrow.dataset.dataset(files).to_batches(columns=[COLUMN]):
        seen.add_arrow(batch.column(0))


def read_polars(files, seen):
    import polars

    column = polars.scan_parquet(files).select(COLUMN).collect()[COLUMN]
    seen.add(column.explode().to_numpy(), column.list.len().to_numpy())


def read_duckdb(files, seen):
    import duckdb

    for file in files:
        table = duckdb.sql(f"select {COLUMN} from read_parquet('{file}')").to_arrow_table()
        for chunk in table.column(0).chunks:
            seen.add_arrow(chunk)


def read_pandas(files, seen):
    import pandas

    for file in files:
        seen.add_lists(pandas.read_parquet(file, columns=[COLUMN])[COLUMN].tolist())


def read_fastparquet(files, seen):
    import fastparquet

    for file in files:
        seen.add_lists(fastparquet.ParquetFile(file).to_pandas(columns=[COLUMN])[COLUMN].tolist())


def read_datasets(files, seen):
    import datasets

    with tempfile.TemporaryDirectory() as folder:
        rows = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=folder)
        rows = rows.select_columns([COLUMN]).with_format("arrow")
        for first in range(0, len(rows), 1024):
            for chunk in rows[first : first + 1024].column(COLUMN).chunks:
                seen.add_arrow(chunk)


def read_streaming(files, seen):
    import datasets

    rows = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True, columns=[COLUMN])
    seen.add_lists(row[COLUMN] for row in rows.with_format("numpy"))


def read_spark(files, seen):
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    spark = spark.config("spark.sql.files.maxPartitionBytes", str(1 << 40)).getOrCreate()
    for file in files:
        frame = spark.read.parquet("file://" + os.path.abspath(file)).select(COLUMN)
        for chunk in frame.toArrow().column(0).chunks:
            seen.add_arrow(chunk)
    spark.stop()


CLIENTS = {
    "pyarrow": ("pyarrow", read_pyarrow),
    "pyarrow.dataset": ("pyarrow", read_dataset),
    "polars": ("polars", read_polars),
    "duckdb": ("duckdb", read_duckdb),
    "pandas": ("pandas", read_pandas),
    "fastparquet": ("fastparquet", read_fastparquet),
    "datasets": ("datasets", read_datasets),
    "datasets, streaming": ("datasets", read_streaming),
    "spark": ("pyspark", read_spark),
}


def footer(file):
    """What is wrong between a footer and its rows; the size of `input_ids`, and the same PLAIN with zstd 3."""
    whole = pq.ParquetFile(file)
    told = {key.decode(): value.decode() for key, value in whole.metadata.metadata.items()}
    table = whole.read()
    lists = table.column(COLUMN).combine_chunks()
    real = len(lists.flatten()) - sum(table.column("pad").to_pylist())
    wrong = []
    if (told["gristmill.rows"], told["gristmill.tokens"]) != (str(table.num_rows), str(real)):
        wrong.append(f"{file}: the footer tells other counts")
    try:
        import xxhash

        digest = xxhash.xxh3_128()
        for row in lists:
            ids = row.values.to_numpy().astype("<i4").tobytes()
            digest.update(np.uint32(len(ids) // 4).tobytes() + ids)
        if digest.hexdigest() != told["gristmill.content_xxh3_128"]:
            wrong.append(f"{file}: the footer tells another hash")
    except ImportError:
        print("xxhash is not installed: hashes are not checked")
    with tempfile.NamedTemporaryFile(suffix=".parquet") as out:
        ids = pa.table({COLUMN: table.column(COLUMN)})
        pq.write_table(ids, out.name, compression="zstd", compression_level=3, use_dictionary=False,
                       write_statistics=False, row_group_size=512, data_page_size=128 << 10)
        plain = os.path.getsize(out.name)
    groups = [whole.metadata.row_group(n) for n in range(whole.metadata.num_row_groups)]
    columns = [group.column(n) for group in groups for n in range(group.num_columns)]
    ours = sum(c.total_compressed_size for c in columns if c.path_in_schema.startswith(COLUMN))
    return wrong, np.array([len(lists.flatten()), ours, plain, os.path.getsize(file)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    folder = parser.parse_args().folder
    files = sorted(glob.glob(os.path.join(folder, "**", "*.parquet"), recursive=True))
    wrong, all_seen = [], set()
    for name, (package, read) in CLIENTS.items():
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            print(f"{name:20} is not installed")
            continue
        seen, start = Seen(), time.process_time()
        try:
            read(files, seen)
            all_seen.add(seen.told())
            print(f"{name:20} {version:10} {time.process_time() - start:6.2f} CPU-s  {seen.told()}", flush=True)
        except Exception as error:  # A client that fails is a finding, whatever it says.
            wrong.append(f"{name} fails: {error!r}"[:300])
    sizes = np.zeros(4)
    for file in files:
        found, size = footer(file)
        wrong, sizes = wrong + found, sizes + size
    ids, ours, plain, whole = sizes
    print(f"bytes per token: {whole / ids:.4f} all columns, {ours / ids:.4f} {COLUMN}, {plain / ids:.4f} PLAIN zstd 3")
    print(f"{COLUMN} / PLAIN zstd 3 = {ours / plain:.4f}, whole file / PLAIN zstd 3 = {whole / plain:.4f}")
    if len(all_seen) != 1:
        wrong.append("clients differ")
    print("\n".join(wrong) or "all agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
