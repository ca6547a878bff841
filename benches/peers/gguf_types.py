#!/usr/bin/env python3
"""Reads GGUF files of one model in several types with the package `gguf`, and holds the numbers of each against those of the f32 file.

  for t in f32 f16 bf16 q8; do gristmill export MODEL --to gguf --dtype $t --out WORK/$t; done
  python benches/peers/gguf_types.py WORK

Needs: gguf, numpy.  Passes when every file has the same tensors of the same shapes and no number is further off than half a step of its type.
"""
import pathlib, sys

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

# Half a step, by the largest number of a tensor: 11 and 8 bits of precision, and a 127th of the largest of a block, whose scale is an f16.
LARGEST = {"f16": 2.0**-11, "bf16": 2.0**-8, "q8": 0.5 / 127 + 2.0**-11}


def read(folder):
    (file,) = folder.glob("*.gguf")
    return {t.name: (t.tensor_type.name, dequantize(t.data, t.tensor_type)) for t in GGUFReader(file).tensors}


work = pathlib.Path(sys.argv[1])
exact = read(work / "f32")
for name, largest in LARGEST.items():
    found = read(work / name)
    assert found.keys() == exact.keys(), name
    types, worst = {}, 0.0
    for tensor, (kind, numbers) in found.items():
        want = exact[tensor][1]
        assert numbers.shape == want.shape, tensor
        types[kind] = types.get(kind, 0) + 1
        worst = max(worst, float(np.abs(numbers - want).max() / np.abs(want).max()))
    print(f"{name:5} {types}  largest error {worst:.2e} of the largest number, half a step is {largest:.2e}")
    assert worst <= largest, name
