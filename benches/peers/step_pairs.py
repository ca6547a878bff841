#!/usr/bin/env python3
"""A training step of ours against PyTorch's, in pairs: both train from the same weights and batches of one file, one after the other, and the medians
of the ratios are printed.  On a machine that others use too, CPU time at one thread is what can be compared.

  python benches/peers/step_pairs.py --torch ../shared/bench/peers/torch_gpt_step.py [--python PYTHON] [--file INIT.safetensors] \
      [--pairs 3] [--steps 6] [--threads 1] [--compile] [--ours COMMAND] [--set recompute=1] [--cuda bf16|f32]

With --cuda both train on the GPU; then step_s and tokens_per_s are what counts, and memory is not compared.

Needs torch and safetensors in PYTHON.  A file that is not there is made: 13.9 M parameters, 6 layers, dim 384, 8 × 256 tokens, vocabulary 8192.
"""
import argparse, json, os, pathlib, shlex, statistics, subprocess, sys

a = argparse.ArgumentParser()
a.add_argument("--torch", required=True, help="torch_gpt_step.py")
a.add_argument("--python", default=sys.executable)
a.add_argument("--file", default="step-init.safetensors")
a.add_argument("--pairs", type=int, default=3)
a.add_argument("--steps", type=int, default=6)
a.add_argument("--threads", type=int, default=1)
a.add_argument("--heads", type=int, default=6)
a.add_argument("--compile", action="store_true")
a.add_argument("--ours", default="cargo bench --quiet --bench step --")
a.add_argument("--cuda", choices=["bf16", "f32"])
a.add_argument("--set", nargs="*", default=[], help="settings of ours, KEY=VALUE")
a = a.parse_args()


def run(command, **environment):
    out = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    if out.returncode:
        sys.exit(f"{shlex.join(command)}\n{out.stderr}")
    return out.stdout


if not pathlib.Path(a.file).exists():
    run([a.python, a.torch, "--file", a.file, "--init"])
# Memory of a process that has loaded torch and nothing else.
loaded = "import torch, safetensors.torch, resource; torch.ones(1); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
baseline = float(run([a.python, "-c", loaded]))
file = str(pathlib.Path(a.file).resolve())
there = {None: ([], []), "bf16": (["--device", "cuda", "--bf16"], ["--device", "cuda"]), "f32": (["--device", "cuda"], ["--device", "cuda-f32"])}
there, here = there[a.cuda]
common = ["--file", file, "--steps", str(a.steps), "--heads", str(a.heads)]
pairs = []
for pair in range(a.pairs):
    theirs = [a.python, a.torch, *common, "--threads", str(a.threads), *(["--compile"] if a.compile else []), *there]
    theirs = json.loads(run(theirs).splitlines()[-1])
    ours = json.loads(run([*shlex.split(a.ours), *common, *here, *a.set], RAYON_NUM_THREADS=str(a.threads)).splitlines()[-1])
    apart = max(abs(x - y) for x, y in zip(ours["losses"], theirs["losses"], strict=True))
    theirs["passes_s"] = theirs["fwd_s"] + theirs["bwd_s"]
    ratio = {key: ours[key] / theirs[key] for key in ("cpu_s", "step_s", "passes_s", "opt_s")}
    if not a.cuda:
        ratio["memory"] = ours["above_mb"] / (theirs["peak_mb"] - baseline)
    pairs.append((ratio, apart))
    told = {key: (ours[key], theirs[key]) for key in ("cpu_s", "step_s", "tokens_per_s", "peak_mb")}
    print(json.dumps({"pair": pair, "ours, theirs": told, "loss_apart": round(apart, 6)}), flush=True)
median = {key: round(statistics.median(ratio[key] for ratio, _ in pairs), 3) for key in pairs[0][0]}
print(json.dumps({"ours / torch": median, "threads": a.threads, "compile": a.compile, "steps": a.steps,
                  "torch_baseline_mb": round(baseline), "loss_apart_max": max(apart for _, apart in pairs)}))
