"""Steering a SASRec that RecBole has trained, without RecBole and without running what its checkpoint holds.

RecBole's .pth files hold, beside the weights, pickled objects of its own (the configuration), so that
`torch.load(weights_only=True)` refuses them, and unpickling them freely could run any code. Here only tensors are
rebuilt; every other object becomes an empty shell that does nothing.

    python examples/steer_recbole_sasrec.py --checkpoint SASRec.pth --interactions train.parquet --tokens items.txt

A checkpoint does not say which item is which row: `--tokens` is a text file with the item ids in RecBole's order
(`dataset.field2id_token["item_id"][1:]`), one a line. Without arguments a stand-in checkpoint with random weights is
made on the bundled data, which shows the way and not a result.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from torch import nn

import headtail as ht
from headtail import sae
from headtail.integrations.recbole import read_weights


class SASRec(nn.Module):
    """RecBole's SASRec, in torch's own layers; takes headtail's sequences of item codes (B, L), -1 at the left."""

    def __init__(self, weights: dict[str, torch.Tensor], n_heads: int) -> None:
        super().__init__()
        self.items = nn.Embedding.from_pretrained(weights["item_embedding.weight"])  # row 0 is padding
        self.positions = nn.Embedding.from_pretrained(weights["position_embedding.weight"])
        self.n_items, self.max_length, dim = len(self.items.weight) - 1, *self.positions.weight.shape
        self.norm = nn.LayerNorm(dim, eps=1e-12)
        self.norm.load_state_dict({part: weights[f"LayerNorm.{part}"] for part in ("weight", "bias")})
        n_layers = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("trm_encoder.layer."))
        self.layers = nn.ModuleList(block(weights, f"trm_encoder.layer.{i}.", dim, n_heads) for i in range(n_layers))
        self.query = nn.Identity()

    def forward(self, sequences: torch.Tensor) -> ht.Vectors:
        """Return the queries (B, d) and the vectors of all items."""
        length = sequences.shape[1]
        n = (sequences >= 0).sum(dim=1, keepdim=True).clamp_min(1)
        start = (
            torch.arange(length) + length - n
        ) % length  # RecBole has the first item at the left, and filling right
        x = self.items(sequences.gather(1, start) + 1) + self.positions.weight[:length]
        x, causal = self.norm(x), nn.Transformer.generate_square_subsequent_mask(length)
        for layer in self.layers:
            x = layer(x, src_mask=causal)
        last = x.gather(1, (n - 1)[:, :, None].expand(-1, -1, x.shape[2]))[:, 0]
        return ht.Vectors(self.query(last), self.items.weight[1:])


def block(weights: dict[str, torch.Tensor], prefix: str, dim: int, n_heads: int) -> nn.Module:
    """Return one layer, its weights under torch's names."""
    inner = len(weights[f"{prefix}feed_forward.dense_1.weight"])
    layer = nn.TransformerEncoderLayer(dim, n_heads, inner, 0.0, "gelu", layer_norm_eps=1e-12, batch_first=True)
    names = {"self_attn.out_proj": "multi_head_attention.dense", "norm1": "multi_head_attention.LayerNorm",
             "linear1": "feed_forward.dense_1", "linear2": "feed_forward.dense_2",
             "norm2": "feed_forward.LayerNorm"}  # fmt: skip
    state = {f"{ours}.{part}": weights[f"{prefix}{theirs}.{part}"]
             for ours, theirs in names.items() for part in ("weight", "bias")}  # fmt: skip
    for part in ("weight", "bias"):
        three = [weights[f"{prefix}multi_head_attention.{name}.{part}"] for name in ("query", "key", "value")]
        state[f"self_attn.in_proj_{part}"] = torch.cat(three)
    layer.load_state_dict(state)
    return layer


def stand_in(n_items: int, dim: int = 32, length: int = 20) -> dict[str, torch.Tensor]:
    """Return random weights under RecBole's names."""
    shapes = {"item_embedding.weight": (n_items + 1, dim), "position_embedding.weight": (length, dim)}
    shapes |= {f"LayerNorm.{part}": (dim,) for part in ("weight", "bias")}
    for i in range(2):
        p = f"trm_encoder.layer.{i}."
        for name in ("query", "key", "value", "dense"):
            shapes |= {
                f"{p}multi_head_attention.{name}.weight": (dim, dim),
                f"{p}multi_head_attention.{name}.bias": (dim,),
            }
        for name in ("multi_head_attention", "feed_forward"):
            shapes |= {f"{p}{name}.LayerNorm.{part}": (dim,) for part in ("weight", "bias")}
        shapes |= {f"{p}feed_forward.dense_1.weight": (64, dim), f"{p}feed_forward.dense_1.bias": (64,)}
        shapes |= {f"{p}feed_forward.dense_2.weight": (dim, 64), f"{p}feed_forward.dense_2.bias": (dim,)}
    source = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=source) * 0.3 for name, shape in shapes.items()}


def main() -> None:
    """Read a checkpoint, find neurons, steer, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--interactions", type=Path, help="training interactions, Parquet or CSV")
    parser.add_argument("--tokens", type=Path, help="text file of item ids in RecBole's order")
    parser.add_argument("--heads", type=int, default=2, help="n_heads of the model; a checkpoint's shapes do not tell")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    if options.checkpoint:
        train = ht.read_interactions(options.interactions)
        tokens = options.tokens.read_text(encoding="utf-8").split("\n")
        weights = read_weights(options.checkpoint)
        row = {token: i + 1 for i, token in enumerate(tokens)}
        order = [0, *(row[str(item)] for item in train.item_ids.tolist())]  # rows in the order of headtail's codes
        weights["item_embedding.weight"] = weights["item_embedding.weight"][order]
    else:
        print("a stand-in checkpoint with random weights: this shows the way, not a result")
        train = ht.split_leave_last(ht.datasets.movietweetings()).train
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "SASRec.pth"
            torch.save({"config": argparse.Namespace(model="SASRec"), "state_dict": stand_in(train.n_items)}, path)
            weights = read_weights(path)
    model = SASRec(weights, options.heads).eval()
    found = sae.contrast(model, train, rng=0)
    autoencoder = sae.TopKSAE(found.real.shape[1], expansion=8, k=16, rng=0)
    sae.fit_sae(autoencoder, found.real, epochs=options.epochs, batch_size=512, rng=0)
    neurons = sae.find_neurons(autoencoder, found, train)
    metrics = [ht.metrics.gini, ht.metrics.coverage, ht.metrics.arp]
    print("alpha  Gini@10  coverage@10  mean popularity")
    for alpha in (0.0, 0.5, 1.0):
        steered = sae.steer(model, autoencoder, neurons, alpha_popular=alpha, alpha_niche=alpha)
        lists = ht.recommend(steered, train, k=10)
        a = ht.audit(lists, train, metrics=metrics, k=10, n_bootstrap=0)
        print(f"{alpha:5.2f}  {a['gini@10']:7.4f}  {a['coverage@10']:11.4f}  {a['arp@10']:15.1f}")


if __name__ == "__main__":
    main()
