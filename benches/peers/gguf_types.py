#!/usr/bin/env python3
"""Reads GGUF files of one model in several types with the package `gguf`, and holds the numbers of each against those of the f32 file.

  for t in f32 f16 bf16 q8; do gristmill export MODEL --to gguf --dtype $t --out WORK/$t; done
  python benches/peers/gguf_types.py WORK

Needs: gguf, numpy.  Passes when every file has the same tensors of the same shapes and each number is within half a step of its type at that number: of 11 or 8 bits of
precision, or of a 127th of the largest number of its block of 32, whose scale is an f16.
"""
import pathlib, sys

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

BLOCK = 32


def half_step(kind, want):
    size = np.abs(want).astype(np.float64)
    if kind == "F16":
        return size * 2.0**-11 + 2.0**-25
    if kind == "BF16":
        return size * 2.0**-8
    if kind == "Q8_0":
        largest = size.reshape(-1, BLOCK).max(axis=1, keepdims=True)
        return np.broadcast_to(largest * (0.5 / 127 + 2.0**-11) + 2.0**-25, (largest.size, BLOCK)).reshape(size.shape)
    return np.zeros_like(size)


def read(folder):
    (file,) = folder.glob("*.gguf")
    return {t.name: (t.tensor_type.name, dequantize(t.data, t.tensor_type)) for t in GGUFReader(file).tensors}


work = pathlib.Path(sys.argv[1])
exact = read(work / "f32")
for name in ("f16", "bf16", "q8"):
    found = read(work / name)
    assert found.keys() == exact.keys(), name
    types, worst = {}, 0.0
    for tensor, (kind, numbers) in found.items():
        want = exact[tensor][1]
        assert numbers.shape == want.shape and np.isfinite(numbers).all(), tensor
        types[kind] = types.get(kind, 0) + 1
        off, step = np.abs(numbers.astype(np.float64) - want), half_step(kind, want)
        assert (off <= step).all(), f"{name}: {tensor} is off by {(off - step).max():.3g} more than half a step"
        worst = max(worst, float((off / np.maximum(step, 1e-30)).max()))
    print(f"{name:5} {types}  largest error {worst:.3f} of half a step")
