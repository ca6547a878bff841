"""Loads exported models in `transformers`, and GGUF files in `gguf` and llama.cpp, and holds them against dumps of ours.

    gristmill export MODEL --to hf --out OUT --parity DUMP.safetensors
    python3 benches/peers/export_parity.py --hf OUT DUMP.safetensors [OUT DUMP …]      # torch, transformers, safetensors
    python3 benches/peers/export_parity.py --gguf OUT/NAME.gguf DUMP.safetensors       # gguf; llama-cpp-python where it is installed

Of `transformers`: strict keys, logits within 2e-4 at every place, greedy ids, and ids of the texts by `AutoTokenizer`. A folder of
`BertForMaskedLM`, which no causal class loads, is opened by its own. Of GGUF: the reader of the package `gguf` finds every tensor, and
llama.cpp gives our ids for the texts and our greedy ids behind them. Exit code 1 where something differs.
"""

import argparse
import json
import sys

ATOL = 2e-4


def dump(path):
    from safetensors import safe_open

    with safe_open(path, "np") as f:
        return {name: f.get_tensor(name) for name in f.keys()}, json.loads((f.metadata() or {}).get("texts", "[]"))


def hf(folder, path):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

    tensors, texts = dump(path)
    ids, ours = torch.tensor(tensors["input_ids"]), torch.tensor(tensors["logits"])
    masked = AutoConfig.from_pretrained(folder).architectures[0].endswith("ForMaskedLM")
    auto = AutoModelForMaskedLM if masked else AutoModelForCausalLM
    model, info = auto.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    model.eval()
    tied = set(getattr(model, "_tied_weights_keys", None) or [])
    row = {"model": type(model).__name__, "rows": list(ids.shape)}
    row["missing"] = sorted(k for k in info["missing_keys"] if k not in tied)
    row["unexpected"] = sorted(info["unexpected_keys"])
    with torch.inference_mode():
        theirs = model(ids).logits.float()
        row["max_abs"] = float((theirs - ours).abs().max())
        if "greedy_ids" in tensors:
            greedy, out = torch.tensor(tensors["greedy_ids"]), ids
            for _ in range(greedy.shape[1]):
                out = torch.cat([out, model(out).logits[:, -1].argmax(-1, keepdim=True)], 1)
            row["greedy_equal"] = bool((out[:, ids.shape[1] :] == greedy).all())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    row["ids_equal"] = all(tokenizer(t, add_special_tokens=False)["input_ids"] == i.tolist() for t, i in zip(texts, ids))
    row["special"] = {"bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id, "chat_template": bool(tokenizer.chat_template)}
    row["pass"] = not row["missing"] and not row["unexpected"] and row["max_abs"] <= ATOL and row["ids_equal"] and row.get("greedy_equal", True)
    return row


def gguf(file, path):
    from gguf import GGUFReader

    tensors, texts = dump(path)
    reader = GGUFReader(file)
    keys = {name: field.contents() for name, field in reader.fields.items() if not name.endswith((".tokens", ".merges", ".token_type"))}
    row = {"file": file, "tensors": len(reader.tensors), "numbers": int(sum(t.n_elements for t in reader.tensors)), "keys": keys}
    try:
        import llama_cpp
    except ImportError:
        return row | {"llama.cpp": "not installed", "pass": True}
    # 16-bit keys and values, its default, would differ from ours.
    llm = llama_cpp.Llama(file, n_ctx=0, verbose=False, type_k=0, type_v=0, n_threads=2, seed=0)
    ids = tensors["input_ids"].tolist()
    row["ids_equal"] = all(llm.tokenize(t.encode(), add_bos=False, special=False) == i for t, i in zip(texts, ids))
    equal = []
    for prompt, expected in zip(ids, tensors["greedy_ids"].tolist()):
        llm.reset()
        found = []
        for token in llm.generate(prompt, temp=0.0, top_k=1, repeat_penalty=1.0):
            found.append(int(token))
            if len(found) == len(expected):
                break
        equal.append(found == expected)
    return row | {"greedy_equal": sum(equal), "of": len(equal), "pass": row["ids_equal"] and all(equal)}


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--hf", nargs="*", default=[])
    a.add_argument("--gguf", nargs="*", default=[])
    args = a.parse_args()
    done = True
    for check, paths in ((hf, args.hf), (gguf, args.gguf)):
        for target, path in zip(paths[::2], paths[1::2]):
            row = check(target, path)
            done &= row["pass"]
            print(json.dumps(row, default=str), flush=True)
    sys.exit(not done)


main()
