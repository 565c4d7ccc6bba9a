"""Training a TopK autoencoder: samples a second, beside EleutherAI's sparsify, dictionary_learning and SAELens.

Each library runs in a process of its own, with its own Adam step and loss (auxiliary loss included where it starts at
once), on the same random vectors and the same number of threads. sparsify has no trainer for plain vectors: its module
is stepped by hand. Ours is `fit_sae` as a user calls it. Then the time of one inference pass. From the repository root:

    python -m venv .venv-sparsify && .venv-sparsify/bin/pip install torch==2.13.0 eai-sparsify
    python -m venv .venv-dictionary && .venv-dictionary/bin/pip install torch==2.13.0 dictionary-learning
    .venv-dictionary/bin/pip uninstall torchvision  # if it does not fit torch
    python -m venv .venv-saelens && .venv-saelens/bin/pip install torch==2.13.0 sae-lens
    python benchmarks/train_sae.py --peer sparsify=.venv-sparsify/bin/python \
        --peer dictionary_learning=.venv-dictionary/bin/python --peer saelens=.venv-saelens/bin/python
"""

import argparse
import os
import sys
import time

import torch
from peers import run_python

COMMON = """
import sys, time, warnings
import torch
warnings.simplefilter("ignore")
d, N, K, B, steps, threads = map(int, sys.argv[1:])
torch.set_num_threads(threads)
torch.manual_seed(0)
data = torch.randn(B * steps, d) @ torch.randn(d, d) / d**0.5
batches = data.split(B)
"""

TIMED = """
step(batches[0])
start = time.perf_counter()
for x in batches:
    step(x)
print(len(data) / (time.perf_counter() - start))
"""

PEERS = {
    "headtail": """
from headtail.sae import TopKSAE, fit_sae
fit_sae(TopKSAE(d, k=K, n_neurons=N, rng=0), data[: 2 * B], batch_size=B, epochs=1, validation=0)
start = time.perf_counter()
fit_sae(TopKSAE(d, k=K, n_neurons=N, rng=0), data, batch_size=B, epochs=1, validation=0, dead_after=10_000_000, rng=0)
print(len(data) / (time.perf_counter() - start))
""",
    "sparsify": """
from sparsify import SparseCoder, SparseCoderConfig
sae = SparseCoder(d, SparseCoderConfig(num_latents=N, k=K))
adam = torch.optim.Adam(sae.parameters(), lr=1e-3)
def step(x):
    out = sae(x)
    (out.fvu + out.auxk_loss / 32).backward()
    sae.remove_gradient_parallel_to_decoder_directions()
    adam.step()
    adam.zero_grad()
    sae.set_decoder_norm_to_unit_norm()
"""
    + TIMED,
    "dictionary_learning": """
from dictionary_learning.trainers.top_k import AutoEncoderTopK, TopKTrainer
trainer = TopKTrainer(steps=100_000, activation_dim=d, dict_size=N, k=K, layer=0, lm_name="", lr=1e-3, device="cpu",
                      dict_class=AutoEncoderTopK)
count = iter(range(10**9))
def step(x):
    trainer.update(next(count), x)
"""
    + TIMED,
    "saelens": """
from itertools import chain, cycle
from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.config import SAETrainerConfig
from sae_lens.training.sae_trainer import SAETrainer
sae = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=d, d_sae=N, k=K))
def trainer(samples):
    cfg = SAETrainerConfig(total_training_samples=samples, train_batch_size_samples=B, lr=1e-3, lr_end=1e-4)
    return SAETrainer(cfg, sae, data_provider=cycle(batches))
trainer(B).fit()
start = time.perf_counter()
trainer(len(data)).fit()
print(len(data) / (time.perf_counter() - start))
""",
}


def speed(name: str, python: str, sizes: list[int], threads: int) -> float:
    """Return samples a second of one library."""
    return float(run_python(python, [COMMON + PEERS[name], *map(str, [*sizes, threads])], threads))


def inference(d: int, n: int, k: int, threads: int, rows: int = 2048) -> None:
    """Time encode, TopK and decode of some users."""
    from headtail.sae import TopKSAE

    torch.set_num_threads(threads)
    sae, x = TopKSAE(d, k=k, n_neurons=n, rng=0), torch.randn(rows, d)
    seconds = []
    with torch.no_grad():
        for _ in range(30):
            start = time.perf_counter()
            sae(x)
            seconds.append(time.perf_counter() - start)
    print(f"inference of {rows} rows: best {min(seconds) * 1e3:.1f} ms, median {sorted(seconds)[15] * 1e3:.1f} ms")


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON", help=f"one of {', '.join(PEERS)}")
    parser.add_argument("--d", type=int, default=64)
    parser.add_argument("--neurons", type=int, default=4096)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    sizes = [args.d, args.neurons, args.k, args.batch, args.steps]
    load = os.getloadavg()[0]
    print(f"d {args.d}, N {args.neurons}, K {args.k}, batch {args.batch}, {args.threads} threads, load {load:.1f}")
    pythons = {"headtail": sys.executable, **dict(peer.split("=", 1) for peer in args.peer)}
    best: dict[str, float] = {}
    for _ in range(args.repeat):  # in turn, so that a busy moment does not fall on one alone
        for name, python in pythons.items():
            found = speed(name, python, sizes, args.threads)
            print(f"  {name} {found:,.0f} samples/s, load {os.getloadavg()[0]:.1f}", flush=True)
            best[name] = max(best.get(name, 0.0), found)
    for name, value in best.items():
        ratio = "" if name == "headtail" else f"  ours is {best['headtail'] / value:.2f} x as fast"
        print(f"{name:<20} {value:9,.0f} samples/s{ratio}")
    inference(args.d, args.neurons, args.k, args.threads)


if __name__ == "__main__":
    main()
