#!/usr/bin/env python3
"""Compares `gristmill eval --tasks` with lm-evaluation-harness 0.4.13 on one model folder, row by row, and times both.

  python lm_eval_parity.py --gristmill target/release/gristmill --model MODEL --rows ROWS --work SCRATCH \
      --tasks arc_easy,hellaswag,mmlu_anatomy,truthfulqa_gen,wikitext --limit 100 --threads 2

ROWS holds files as `gristmill eval --list` names them. Where it has no rows of HellaSwag, some are made of the rows of ARC, with the marks
that HellaSwag's have. Needs: lm-eval, torch, transformers, accelerate, rouge-score, no network.
Passes when every pick and greedy flag is equal, log-likelihoods differ by less than 1e-3 and figures by less than 1e-6 (2e-4 for perplexities).
"""
import argparse, gzip, json, math, os, pathlib, resource, shutil, subprocess, sys, time

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
PLAN = {  # task -> folder of the package, stem of the yaml, files by split
    "arc_easy": ("arc", "arc_easy", {"train": "arc_easy.train", "validation": "arc_easy.validation", "test": "arc_easy.test"}),
    "arc_challenge": ("arc", "arc_challenge", {"train": "arc_challenge.train", "validation": "arc_challenge.validation", "test": "arc_challenge.test"}),
    "hellaswag": ("hellaswag", "hellaswag", {"train": "hellaswag.train", "validation": "hellaswag.validation"}),
    "truthfulqa_mc1": ("truthfulqa", "truthfulqa_mc1", {"validation": "truthfulqa.validation"}),
    "truthfulqa_mc2": ("truthfulqa", "truthfulqa_mc2", {"validation": "truthfulqa.validation"}),
    "truthfulqa_gen": ("truthfulqa", "truthfulqa_gen", {"validation": "truthfulqa.validation"}),
    "lambada_openai": ("lambada", "lambada_openai", {"test": "lambada_openai.test"}),
    "lambada_standard": ("lambada", "lambada_standard", {"validation": "lambada_standard.validation", "test": "lambada_standard.validation"}),
    "crows_pairs_english": ("crows_pairs", "crows_pairs_english", {"test": "crows_pairs_english.test"}),
    "wikitext": ("wikitext", "wikitext", {"train": "wikitext2.valid", "validation": "wikitext2.valid", "test": "wikitext2.valid"}),
}


def rows_of(folder, stem):
    packed = folder / f"{stem}.jsonl.gz"
    text = gzip.open(packed, "rt", newline="\n").read() if packed.exists() else (folder / f"{stem}.jsonl").read_text()
    return [line for line in text.split("\n") if line]


def hellaswag(folder, split):
    """Rows of HellaSwag's shape, made of ARC."""
    for at, line in enumerate(rows_of(folder, f"arc_easy.{split}")):
        row = json.loads(line)
        choices = (row["choices"]["text"] * 4)[:4]
        words = row["question"].split(" ")
        half = len(words) // 2
        marked = [f"{c} [substeps] One  more. [title] Next" if at % 3 == n % 3 else f"  {c}." for n, c in enumerate(choices)]
        yield json.dumps({
            "ind": at, "activity_label": "Science [header]" if at % 5 == 0 else "Science", "ctx_a": " ".join(words[:half]),
            "ctx_b": " ".join(words[half:]).lower() if at % 2 else "", "endings": marked, "label": str(at * 7 % 4),
        })


def crows(folder):
    """Rows with the names that the harness gives them."""
    stem = next(s for s in ("crows_pairs_english.test", "crows_pairs") if any((folder / f"{s}.{end}").exists() for end in ("jsonl", "jsonl.gz")))
    for line in rows_of(folder, stem):
        row = json.loads(line)
        yield json.dumps({"sent_more": row.get("sent_more", row.get("more")), "sent_less": row.get("sent_less", row.get("less")), "bias_type": row["bias_type"]})


def local_tasks(rows, work, tasks):
    """Copies the package's task folders and adds `NAME_local.yaml` files, which read our rows."""
    import lm_eval
    package = pathlib.Path(lm_eval.__file__).parent / "tasks"
    ours = work / "rows"
    ours.mkdir(parents=True, exist_ok=True)

    def plain(stem):
        path = ours / f"{stem}.jsonl"
        if not path.exists():
            made = stem.startswith("hellaswag") and not any((rows / f"{stem}.{end}").exists() for end in ("jsonl", "jsonl.gz"))
            if made:
                lines = hellaswag(rows, "train" if stem.endswith("train") else "test")
            elif stem.startswith("crows"):
                lines = crows(rows)
            else:
                lines = rows_of(rows, stem)
            path.write_text("\n".join(lines) + "\n")
        return path

    def yaml(folder, stem, task, files):
        if not (work / "tasks" / folder.name).exists():
            shutil.copytree(folder, work / "tasks" / folder.name)
        body = [f"include: {stem}.yaml", f"task: {task}_local", "tag: []", "dataset_path: json", "dataset_name: null", "dataset_kwargs:", "  data_files:"]
        body += [f"    {split}: {path}" for split, path in files.items()]
        (work / "tasks" / folder.name / f"{task}_local.yaml").write_text("\n".join(body) + "\n")

    for task in tasks:
        if task in PLAN:
            folder, stem, files = PLAN[task]
            yaml(package / folder, stem, task, {split: plain(file) for split, file in files.items()})
        elif task.startswith("mmlu_"):
            files = {}
            for split, stem in (("dev", "mmlu.dev"), ("validation", "mmlu.val"), ("test", "mmlu.test")):
                kept = [line for line in plain(stem).read_text().split("\n") if line and json.loads(line)["subject"] == task[5:]]
                files[split] = ours / f"{task}.{split}.jsonl"
                files[split].write_text("\n".join(kept) + "\n")
            yaml(package / "mmlu" / "default", task, task, files)
        else:
            sys.exit(f"no local rows for {task}")
    return ours


def cpu_seconds(who):
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def harness(a, work):
    """Runs in a process of its own, so that its CPU time is its own."""
    import torch
    torch.set_num_threads(a.threads)
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    manager = TaskManager(include_path=str(work / "tasks"))
    model = HFLM(pretrained=a.model, dtype="float32", device="cpu", batch_size=a.batch, **({"max_length": a.max_length} if a.max_length else {}))
    out = {}
    for task in a.tasks.split(","):
        begun, used = time.time(), cpu_seconds(resource.RUSAGE_SELF)
        found = lm_eval.simple_evaluate(model, tasks=[f"{task}_local"], num_fewshot=a.shots or None, limit=a.limit or None,
                                        log_samples=True, task_manager=manager, bootstrap_iters=0 if a.limit == 1 else 1000)
        out[task] = {
            "wall": time.time() - begun, "cpu": cpu_seconds(resource.RUSAGE_SELF) - used,
            "figures": {k.split(",")[0]: v for k, v in found["results"][f"{task}_local"].items() if isinstance(v, float) or isinstance(v, int)},
            "rows": [{"row": s["doc_id"], "resps": s["filtered_resps"], "context": s["arguments"][0][0] if s["arguments"] else "",
                      "acc": s.get("acc"), "acc_norm": s.get("acc_norm")} for s in found["samples"][f"{task}_local"]],
        }
    (work / "harness.json").write_text(json.dumps(out, default=float))


def ours(a, work):
    begun, used = time.time(), cpu_seconds(resource.RUSAGE_CHILDREN)
    command = [a.gristmill, "eval", a.model, "--rows", str(work / "rows"), "--json"]
    out = {}
    for task in a.tasks.split(","):
        begun, used = time.time(), cpu_seconds(resource.RUSAGE_CHILDREN)
        samples = work / f"{task}.samples.jsonl"
        extra = ["--tasks", task, "--samples", str(samples), "--limit", str(a.limit), "--shots", str(a.shots)]
        extra += ["--max-length", str(a.max_length)] if a.max_length else []
        told = subprocess.run(command + extra, check=True, capture_output=True, text=True, env={**os.environ, "RAYON_NUM_THREADS": str(a.threads)})
        out[task] = {"wall": time.time() - begun, "cpu": cpu_seconds(resource.RUSAGE_CHILDREN) - used,
                     # Behind its parts, where it has some, stands the whole task.
                     "figures": json.loads(told.stdout)[0]["results"][-1]["figures"],
                     "rows": [json.loads(line) for line in samples.read_text().split("\n") if line]}
    return out


def compare(task, theirs, ours):
    """Rows that differ, the largest difference of a log-likelihood, figures that differ."""
    wrong, largest = [], 0.0
    if len(theirs["rows"]) != len(ours["rows"]):
        return [f"{len(theirs['rows'])} and {len(ours['rows'])} rows"], 0.0
    rows = dict((row["row"], row) for row in theirs["rows"])
    for at, row in enumerate(ours["rows"]):
        other = rows[at] if task.startswith("mmlu_") else rows[row["row"]]
        resps = other["resps"]
        if task == "truthfulqa_gen":
            if resps[0] != row["text"]:
                wrong.append(f"row {row['row']}: {resps[0]!r} {row['text']!r}")
            continue
        if task == "wikitext":
            pairs = [(float(resps[0] if not isinstance(resps[0], list) else resps[0][0]), row["scores"][0][0])]
        else:
            pairs = [(float(r[0]), s[0]) for r, s in zip(resps, row["scores"])]
            if len(resps) != len(row["scores"]) or any(str(r[1]) != str(s[1]) for r, s in zip(resps, row["scores"])):
                wrong.append(f"row {row['row']}: greedy {resps} {row['scores']}")
            if other["context"] != row["context"]:
                wrong.append(f"row {row['row']}: context {other['context']!r} {row['context']!r}")
            for name in ("acc", "acc_norm"):
                if other[name] is not None and abs(other[name] - row["measures"][name]["value"]) > 1e-4:
                    wrong.append(f"row {row['row']}: {name} {other[name]} {row['measures'][name]}")
        gap = max(abs(x - y) for x, y in pairs)
        largest = max(largest, gap)
        if gap > 1e-3 * max(1.0, abs(pairs[0][0]) / 1000):
            wrong.append(f"row {row['row']}: {pairs}")
    for name, figure in ours["figures"].items():
        want = theirs["figures"].get(name)
        close = 2e-4 * abs(figure["value"]) if "perplexity" in name else 1e-4 if name == "acc" and task == "truthfulqa_mc2" else 1e-6
        if want is not None and not abs(want - figure["value"]) <= close:
            wrong.append(f"{name}: {want} {figure['value']}")
        error = theirs["figures"].get(f"{name}_stderr")
        if error and figure["error"] and "perplexity" not in name and abs(error - figure["error"]) > 1e-4:
            wrong.append(f"error of {name}: {error} {figure['error']}")
    return wrong, largest


def main():
    p = argparse.ArgumentParser()
    for name in ("gristmill", "model", "rows", "work"):
        p.add_argument(f"--{name}", required=True)
    p.add_argument("--tasks", default=",".join([*PLAN, "mmlu_anatomy", "mmlu_us_foreign_policy"]))
    p.add_argument("--limit", type=int, default=100)
    p.add_argument("--shots", type=int, default=0)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--max-length", type=int, default=0)
    p.add_argument("--only-harness", action="store_true", help=argparse.SUPPRESS)
    a = p.parse_args()
    work = pathlib.Path(a.work).resolve()
    if a.only_harness:
        return harness(a, work)
    local_tasks(pathlib.Path(a.rows), work, a.tasks.split(","))
    mine = ours(a, work)
    subprocess.run([sys.executable, *sys.argv, "--only-harness"], check=True, stdout=subprocess.DEVNULL)
    theirs = json.loads((work / "harness.json").read_text())
    bad = 0
    print(f"{'task':<18} {'rows':>5} {'differ':>6} {'largest Δ':>10} {'CPU s':>8} {'harness':>8} {'×':>6} {'wall s':>8} {'harness':>8} {'×':>6}")
    for task in a.tasks.split(","):
        wrong, largest = compare(task, theirs[task], mine[task])
        bad += len(wrong)
        m, t = mine[task], theirs[task]
        print(f"{task:<18} {len(m['rows']):>5} {len(wrong):>6} {largest:>10.1e} {m['cpu']:>8.2f} {t['cpu']:>8.2f} {t['cpu'] / m['cpu']:>6.1f}"
              f" {m['wall']:>8.2f} {t['wall']:>8.2f} {t['wall'] / m['wall']:>6.1f}")
        for line in wrong[:5]:
            print("   ", line[:300])
    total = [sum(x[t][k] for t in a.tasks.split(",")) for x in (mine, theirs) for k in ("cpu", "wall")]
    print(f"all: CPU {total[0]:.2f} s against {total[2]:.2f} s, {total[2] / total[0]:.1f}×; wall {total[1]:.2f} s against {total[3]:.2f} s, {total[3] / total[1]:.1f}×")
    sys.exit(bad > 0)


main()
