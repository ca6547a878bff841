#!/usr/bin/env python3
"""Holds our models against `transformers` and PyTorch's AdamW.

    pip install torch transformers pyarrow
    python transformers_parity.py > model/src/tests/transformers.json
    python transformers_parity.py --model MODEL --dataset DATASET

The first form makes tiny models from a formula and prints their logits and four training losses, which a test in `model` expects of
ours. The second loads a model folder and scores the held-out rows of its dataset, piece by piece without any mask of ours; the loss is
to be the `validation_loss` of training.json.
"""
import argparse
import glob
import json
import math
import os

import torch
import torch.nn.functional as F
from transformers import (AutoModelForCausalLM, BertConfig, BertForMaskedLM, FalconConfig, FalconForCausalLM, GPT2Config, GPT2LMHeadModel,
                          LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, MixtralConfig, MixtralForCausalLM)

VOCAB, WIDTH, HEADS, KV_HEADS, FF_WIDTH, LAYERS, CONTEXT, EOS = 23, 16, 4, 2, 24, 2, 12, 0
RATES, BETAS, EPSILON, DECAY, CLIP = [0.01, 0.02, 0.02, 0.01], (0.9, 0.95), 1e-8, 0.1, 1.0
# Rows of pieces, (tokens, whether the piece begins its document); the rest of a row of 12 is padding.
BATCHES = [[[(7, True), (4, False)], [(12, True)]], [[(1, True), (11, True)], [(5, False), (6, True)]]]


def draw(place, index):
    """A number in [-0.5, 0.5) that a float holds exactly."""
    mixed = (index * 2654435761 + place * 40503 + 1) % 2**32
    mixed = (mixed ^ mixed >> 15) * 2246822519 % 2**32
    return ((mixed ^ mixed >> 13) >> 16) / 65536 - 0.5


def values(place, shape):
    numbers = torch.tensor([draw(place, i) for i in range(math.prod(shape))], dtype=torch.float32)
    return numbers.reshape(shape)


def stored(model):
    """Parameters as a checkpoint names and cuts them: `transformers` holds the experts of a Mixtral in one tensor."""
    for name, parameter in model.named_parameters():
        layer, inside, rest = name.partition(".mlp.")
        if rest == "experts.gate_up_proj":
            for expert, both in enumerate(parameter):
                for part, half in zip(("w1", "w3"), both.chunk(2)):
                    yield f"{layer}.block_sparse_moe.experts.{expert}.{part}.weight", half
        elif rest == "experts.down_proj":
            for expert, part in enumerate(parameter):
                yield f"{layer}.block_sparse_moe.experts.{expert}.w2.weight", part
        elif rest == "gate.weight":
            yield f"{layer}.block_sparse_moe.gate.weight", parameter
        else:
            yield name, parameter


def fill(model):
    with torch.no_grad():
        named = sorted(stored(model))
        for place, (name, parameter) in enumerate(named):
            gain = ("norm" in name.lower() or "ln_" in name) and name.endswith("weight")
            parameter.copy_(values(place, parameter.shape) * 0.5 + (1.0 if gain else 0.0))
    return named


def batch(number):
    """Pieces as (inputs, targets): a document is predicted from the end of the one before it."""
    place, pieces = 0, []
    for row in BATCHES[number % 2]:
        for length, begins in row:
            ids = [(number * 5 + (place + i) * (place + i + 3) // 2) % VOCAB for i in range(length)]
            place += length
            pieces.append(([EOS] + ids[:-1], ids) if begins else (ids[:-1], ids[1:]))
    return pieces


def nats(model, pieces):
    total, tokens = 0.0, 0
    for inputs, targets in pieces:
        if targets:
            logits = model(torch.tensor([inputs])).logits[0]
            total = total + F.cross_entropy(logits, torch.tensor(targets), reduction="sum")
            tokens += len(targets)
    return total, tokens


def golden(model):
    named = fill(model.eval())
    with torch.no_grad():
        logits = model(torch.tensor([[3, 1, 4, 1, 5, 9]])).logits[0]
    decays = [{"params": [p for p in model.parameters() if (p.dim() >= 2) == matrix], "weight_decay": DECAY * matrix} for matrix in (True, False)]
    optimizer = torch.optim.AdamW(decays, betas=BETAS, eps=EPSILON)
    losses = []
    for number, rate in enumerate(RATES):
        for group in optimizer.param_groups:
            group["lr"] = rate
        total, tokens = nats(model, batch(number))
        loss = total / tokens
        losses.append(round(loss.item(), 7))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
    names = [f"{name} {list(p.shape)}" for name, p in named]
    return {"names": names, "logits": [[round(x, 6) for x in row] for row in logits.tolist()], "losses": losses}


def tiny():
    llama = LlamaForCausalLM(LlamaConfig(
        vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=FF_WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS, max_position_embeddings=CONTEXT, rms_norm_eps=1e-5, tie_word_embeddings=False))
    gpt = GPT2LMHeadModel(GPT2Config(
        vocab_size=VOCAB, n_embd=WIDTH, n_inner=FF_WIDTH, n_layer=LAYERS, n_head=HEADS, n_positions=CONTEXT, bos_token_id=EOS,
        eos_token_id=EOS))
    sizes = dict(vocab_size=VOCAB, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS, max_position_embeddings=CONTEXT)
    rms = dict(num_key_value_heads=KV_HEADS, rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=False, intermediate_size=FF_WIDTH)
    mistral = MistralForCausalLM(MistralConfig(**sizes, **rms, sliding_window=4))
    mixtral = MixtralForCausalLM(MixtralConfig(**sizes, **rms, num_local_experts=3, num_experts_per_tok=2))
    falcon = dict(ffn_hidden_size=FF_WIDTH, alibi=False, bias=False, hidden_dropout=0.0, attention_dropout=0.0)
    groups = FalconConfig(**sizes, **falcon, new_decoder_architecture=True, num_kv_heads=KV_HEADS, num_ln_in_parallel_attn=1)
    falcon = FalconForCausalLM(FalconConfig(**sizes, **falcon, multi_query=True, parallel_attn=True))
    bert = BertForMaskedLM(BertConfig(**sizes, intermediate_size=FF_WIDTH, hidden_act="gelu", pad_token_id=None))
    models = dict(llama=llama, gpt=gpt, mistral=mistral, mixtral=mixtral, falcon=falcon, falcon_groups=FalconForCausalLM(groups), bert=bert)
    told = ",\n".join(f'"{name}": {json.dumps(golden(model))}' for name, model in models.items())
    print(f"{{{told}}}".replace("], [", "],\n["))


def held_out(folder, dataset):
    import pyarrow.parquet as pq
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    total, tokens = 0.0, 0
    with torch.no_grad():
        for path in sorted(glob.glob(os.path.join(dataset, "tokens/validation/*.parquet"))):
            for row in pq.read_table(path).to_pylist():
                start, pieces = 0, []
                for length, offset in zip(row["doc_lens"], row["doc_offsets"]):
                    ids = row["input_ids"][start:start + length]
                    start += length
                    pieces.append(([model.config.eos_token_id] + ids[:-1], ids) if offset == 0 else (ids[:-1], ids[1:]))
                more, count = nats(model, pieces)
                total, tokens = total + float(more), tokens + count
    ours = json.load(open(os.path.join(folder, "training.json")))["validation_loss"]
    print(f"transformers {total / tokens:.7f}, ours {ours:.7f}, difference {abs(total / tokens - ours):.1e}, {tokens} tokens")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model")
    parser.add_argument("--dataset")
    args = parser.parse_args()
    held_out(args.model, args.dataset) if args.model else tiny()
