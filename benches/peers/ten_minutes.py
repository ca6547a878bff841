#!/usr/bin/env python3
"""Held-out bits per byte after so many CPU-minutes of training on one thread: a model of ours against the GPT-2 of `torch_gpt_step.py` (learned positions,
LayerNorm, GELU, tied head, 6 layers, dim 384, AdamW 3e-4 without schedule or clipping), both from the token shards of one dataset.

  python benches/peers/ten_minutes.py DATASET [--minutes 10] [--ours "gristmill"] [--set KEY=VALUE ...] [--python PYTHON] [--skip-theirs] [--schedule]

Theirs runs through torch.compile, whose compilation is not counted; windows of 256 tokens are drawn from the stream of all tokens, 8 a step.  `--schedule` gives it 100
steps of warm-up and a cosine to a tenth, clipping at 1 and a rate of 1e-3: more than the recipe has.  Ours is one `gristmill train`, whose CPU time of the whole process must
stay within the minutes; its count of steps is found by a short run before, and lowered where that was not enough.  Both are measured on the same held-out rows with the same count of bytes.
"""
import argparse, json, math, pathlib, resource, shlex, subprocess, sys, tempfile, time

a = argparse.ArgumentParser()
a.add_argument("dataset")
a.add_argument("--minutes", type=float, default=10)
a.add_argument("--ours", default="gristmill")
a.add_argument("--set", nargs="*", default=[], help="settings of ours, KEY=VALUE")
a.add_argument("--python", default=sys.executable)
a.add_argument("--skip-theirs", action="store_true")
a.add_argument("--schedule", action="store_true")
a.add_argument("--theirs", help=argparse.SUPPRESS)
a = a.parse_args()
seconds = a.minutes * 60


def rows(folder):
    import pyarrow.parquet as pq

    for file in sorted(pathlib.Path(folder).glob("*.parquet")):
        table = pq.read_table(file)
        padding = table["pad"].to_pylist()
        for ids, pad in zip(table["input_ids"].to_pylist(), padding):
            yield ids[: len(ids) - pad]


def theirs():
    """Trains the GPT-2 and prints mean held-out nats a token."""
    import torch, torch.nn as nn, torch.nn.functional as F

    torch.set_num_threads(1)
    torch.manual_seed(0)
    manifest = json.loads((pathlib.Path(a.dataset) / "manifest.json").read_text())["tokens"]
    vocab, T, L, D, H, B = manifest["vocab_size"], 256, 6, 384, 6, 8
    folder = pathlib.Path(a.dataset) / manifest["folder"]
    stream = lambda split: torch.tensor([i for row in rows(folder / split) for i in row])
    train, held = stream("train"), stream("validation")

    class Block(nn.Module):
        def __init__(s):
            super().__init__()
            s.ln1, s.attn, s.proj = nn.LayerNorm(D), nn.Linear(D, 3 * D), nn.Linear(D, D)
            s.ln2, s.fc, s.fcp = nn.LayerNorm(D), nn.Linear(D, 4 * D), nn.Linear(4 * D, D)

        def forward(s, x):
            b, t, d = x.shape
            q, k, v = s.attn(s.ln1(x)).view(b, t, 3, H, d // H).permute(2, 0, 3, 1, 4)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + s.proj(y.transpose(1, 2).reshape(b, t, d))
            return x + s.fcp(F.gelu(s.fc(s.ln2(x)), approximate="tanh"))

    class GPT(nn.Module):
        def __init__(s):
            super().__init__()
            s.wte, s.wpe = nn.Embedding(vocab, D), nn.Embedding(T, D)
            s.h = nn.ModuleList(Block() for _ in range(L))
            s.lnf = nn.LayerNorm(D)

        def forward(s, x, y):
            h = s.wte(x) + s.wpe.weight[: x.shape[1]]
            for b in s.h:
                h = b(h)
            lg = F.linear(s.lnf(h), s.wte.weight)
            return F.cross_entropy(lg.view(-1, lg.shape[-1]).float(), y.reshape(-1))

    m = GPT()
    for n, p in m.named_parameters():
        if p.dim() == 2:
            nn.init.normal_(p, 0, 0.02 / (math.sqrt(2 * L) if n.endswith(("proj.weight", "fcp.weight")) else 1))
        elif n.endswith("bias"):
            nn.init.zeros_(p)
    opt = torch.optim.AdamW(m.parameters(), lr=3e-4, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, fused=True)
    f = torch.compile(m)

    def window():
        at = torch.randint(0, len(train) - T - 1, (B,))
        return torch.stack([train[i : i + T] for i in at]), torch.stack([train[i + 1 : i + T + 1] for i in at])

    def step(rate):
        for group in opt.param_groups:
            group["lr"] = rate
        loss = f(*window())
        loss.backward()
        if a.schedule:
            nn.utils.clip_grad_norm_(m.parameters(), 1.0)
        opt.step()
        opt.zero_grad(set_to_none=True)
        return loss.item()

    # Compilation and the first steps, at a rate of nothing.
    for _ in range(3):
        step(0.0)
    begun, count, loss = time.process_time(), 0, float("nan")
    while (used := time.process_time() - begun) < seconds:
        rate = 3e-4
        if a.schedule:
            rate = 1e-3 * min(1, (count + 1) / 100) * (0.55 + 0.45 * math.cos(math.pi * min(1, used / seconds)))
        loss = step(rate)
        count += 1
    used = time.process_time() - begun
    nats, tokens = 0.0, 0
    with torch.no_grad():
        for i in range(0, (len(held) - 1) // T * T, 8 * T):
            x = held[i : i + 8 * T + 1]
            n = (len(x) - 1) // T * T
            if n:
                nats += m(x[:n].view(-1, T), x[1 : n + 1].view(-1, T)).item() * n
                tokens += n
    print(json.dumps({"steps": count, "cpu_s": round(used, 1), "loss": round(loss, 4), "nats": nats / tokens, "tokens": count * B * T,
                      "parameters": sum(p.numel() for p in m.parameters())}))


def ours(steps, out):
    command = [*shlex.split(a.ours), "train", a.dataset, "--out", str(out), "--json"]
    for text in [*a.set, "eval_every=0", f"steps={steps}"]:
        command += ["--set", text]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env={"RAYON_NUM_THREADS": "1"}, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stderr)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout.splitlines()[-1]), used


if a.theirs:
    theirs()
    raise SystemExit
with tempfile.TemporaryDirectory() as folder:
    # Start and end cost what they cost at any count of steps.
    (_, short), (_, longer) = (ours(n, pathlib.Path(folder) / f"short-{n}") for n in (5, 45))
    each = (longer - short) / 40
    steps = int((seconds - short) / each * 0.97)
    report, used = ours(steps, pathlib.Path(folder) / "model")
    # What else the machine does makes a step cost more or less processor time than it did before.
    while used > seconds:
        print(f"{steps} steps took {used:.0f} s: fewer", file=sys.stderr)
        steps = int(steps * seconds / used * 0.95)
        report, used = ours(steps, pathlib.Path(folder) / f"model-{steps}")
nats_of_byte = report["bits_per_byte"] * math.log(2)
told = {"ours": {"bits_per_byte": report["bits_per_byte"], "loss": report["validation_loss"], "steps": steps, "cpu_s": round(used, 1),
                 "parameters": report["parameters"], "tokens": report["tokens"], "set": a.set}}
if not a.skip_theirs:
    command = [a.python, __file__, a.dataset, "--minutes", str(a.minutes), "--theirs", "yes", *(["--schedule"] if a.schedule else [])]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    # Tokens of a byte, as held out.
    found["bits_per_byte"] = round(found.pop("nats") * nats_of_byte / report["validation_loss"] / math.log(2), 4)
    told |= {"theirs": found, "ours / theirs": round(report["bits_per_byte"] / found["bits_per_byte"], 4)}
print(json.dumps(told))
