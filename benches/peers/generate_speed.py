"""Greedy generation, one text at a time: ours beside `transformers` on the same model folder, paired in one run.

    cargo bench --bench generate -- --save /tmp/models      # makes the folders; the program lies under target/release/deps/generate-*
    python3 benches/peers/generate_speed.py --ours target/release/deps/generate-HASH --models /tmp/models \\
        [--only gpt-14m] [--threads 1 2] [--prompt 32] [--tokens 200] [--rounds 3]

Both read the same prompt and generate the same count of tokens with keys and values kept; the ids must be equal. Wall seconds and CPU
seconds of the best round, without loading. `transformers` runs its default attention (`sdpa`) under inference mode.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time


def cpu(who=resource.RUSAGE_SELF):
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def peer(args):
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(args.threads[0])
    model = AutoModelForCausalLM.from_pretrained(args.peer, dtype=torch.float32).eval()
    ids = torch.tensor([json.loads(args.ids)])
    best = best_cpu = float("inf")
    with torch.inference_mode():
        for _ in range(args.rounds):
            wall, spent = time.perf_counter(), cpu()
            out = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=args.tokens,
                do_sample=False,
                use_cache=True,
                eos_token_id=None,
                pad_token_id=0,
            )
            best, best_cpu = min(best, time.perf_counter() - wall), min(best_cpu, cpu() - spent)
    print(json.dumps({"ids": out[0, ids.shape[1] :].tolist(), "seconds": best, "cpu_s": best_cpu}))


def run(command, threads):
    environment = os.environ | {"RAYON_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    before = cpu(resource.RUSAGE_CHILDREN)
    out = json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
    return {"process_cpu_s": cpu(resource.RUSAGE_CHILDREN) - before} | out


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--ours")
    a.add_argument("--models")
    a.add_argument("--only", nargs="*")
    a.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    a.add_argument("--prompt", type=int, default=32)
    a.add_argument("--tokens", type=int, default=200)
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--peer", help=argparse.SUPPRESS)
    a.add_argument("--ids", help=argparse.SUPPRESS)
    args = a.parse_args()
    if args.peer:
        return peer(args)
    counts = ["--prompt", str(args.prompt), "--tokens", str(args.tokens), "--rounds", str(args.rounds)]
    for name in args.only or sorted(os.listdir(args.models)):
        folder = os.path.join(args.models, name)
        for threads in args.threads:
            ours = run([args.ours, "--model", folder, *counts], threads)
            # Loading is what a run of one token takes.
            loading = run([args.ours, "--model", folder, "--prompt", str(args.prompt), "--tokens", "1", "--rounds", "1"], threads)
            ours["cpu_s"] = (ours["process_cpu_s"] - loading["process_cpu_s"]) / args.rounds
            own = [sys.executable, __file__, "--peer", folder, "--threads", str(threads), "--ids", json.dumps(ours["prompt"])]
            theirs = run([*own, "--tokens", str(args.tokens), "--rounds", str(args.rounds)], threads)
            row = {"model": name, "threads": threads, "tokens": args.tokens, "parameters": ours["parameters"]}
            row |= {"ids_equal": ours["ids"] == theirs["ids"]}
            for key, side in (("ours", ours), ("transformers", theirs)):
                row[f"{key}_tokens_per_s"] = round(args.tokens / side["seconds"], 1)
                row[f"{key}_cpu_s"] = round(side["cpu_s"], 4)
            row["ratio"] = round(theirs["seconds"] / ours["seconds"], 2)
            row["ratio_cpu"] = round(theirs["cpu_s"] / ours["cpu_s"], 2)
            print(json.dumps(row), flush=True)


main()
