"""A sparse autoencoder whose every input is a sum of at most k of its neurons' directions."""

from collections.abc import Iterator
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag, linear, normalize

from headtail._checks import checked, generator, integer
from headtail._tensors import no_autocast, sampled_products, traced, transformed
from headtail.exceptions import InvalidInputError
from headtail.typing import RNG

_GROUP = 16  # neurons that share a maximum in the search for the k largest
ROWS = 256  # inputs of a block whose pre-activations stay in a CPU's cache until the k largest are found


class Code(NamedTuple):
    """The active neurons of each input; all others are zero.

    Attributes
    ----------
    values : Tensor of shape (..., K)
        Activations, at least 0, in no order. Where fewer than K pre-activations are positive the rest are 0.
    neurons : LongTensor of shape (..., K)
        Which neuron each value belongs to, from 0 to N - 1.
    """

    values: Tensor
    neurons: Tensor


class TopKSAE(nn.Module):
    """Sparse autoencoder with N neurons, of which the k most active represent an input.

    ``pre = (x - bias) @ encoder.T + encoder_bias``, ``z`` keeps the k largest of ``relu(pre)``, and the
    reconstruction is ``z @ decoder + bias``. Nothing of shape (B, N) but the pre-activations is ever made: decoding and
    all gradients go through the k active neurons of each input only.

    Source: Gao, Dupre la Tour, Tillman, Goh, Troll, Radford, Sutskever, Leike, Wu, "Scaling and evaluating sparse
    autoencoders", 2024, section 2.3. Ahmadov, Mansoury, "Opening the Black Box", RecSys 2025.

    Parameters
    ----------
    d_in : int
        Width d of the inputs.
    expansion : int, default 16
        Neurons for each input dimension, so that N = expansion * d.
    k : int, default 32
        Active neurons of an input, at most N.
    n_neurons : int, optional
        N itself, in place of `expansion`.
    rng : seed or generator, default 0
        Source of the initial directions: random unit vectors, the same for encoder and decoder.

    Attributes
    ----------
    encoder : Parameter of shape (N, d)
    encoder_bias : Parameter of shape (N,)
    decoder : Parameter of shape (N, d)
        Rows of length 1, kept so by :func:`~headtail.sae.fit_sae`.
    bias : Parameter of shape (d,)
        What is reconstructed when no neuron is active.

    Examples
    --------
    >>> sae = TopKSAE(d_in=4, expansion=2, k=3, rng=0)
    >>> code = sae.encode(torch.ones(5, 4))
    >>> code.values.shape, code.neurons.shape, sae(torch.ones(5, 4)).shape
    (torch.Size([5, 3]), torch.Size([5, 3]), torch.Size([5, 4]))
    """

    @checked
    def __init__(
        self, d_in: int, expansion: int = 16, k: int = 32, *, n_neurons: int | None = None, rng: RNG = 0
    ) -> None:
        super().__init__()
        self.d_in = integer("d_in", d_in, low=1)
        if n_neurons is None:
            n_neurons = self.d_in * integer("expansion", expansion, low=1)
        self.n_neurons = integer("n_neurons", n_neurons, low=1)
        self.k = integer("k", k, low=1)
        if self.k > self.n_neurons:
            raise InvalidInputError(
                f"k={k} exceeds the {self.n_neurons} neurons of this autoencoder; lower k or raise expansion."
            )
        directions = generator(rng).standard_normal((self.n_neurons, self.d_in), dtype="float32")
        self.decoder = nn.Parameter(normalize(torch.from_numpy(directions), dim=1))
        self.encoder = nn.Parameter(self.decoder.detach().clone())
        self.encoder_bias = nn.Parameter(self.decoder.new_zeros(self.n_neurons))
        self.bias = nn.Parameter(self.decoder.new_zeros(self.d_in))

    @property
    def config(self) -> dict[str, Any]:
        """Arguments that rebuild this shape."""
        return {"model": "TopKSAE", "d_in": self.d_in, "n_neurons": self.n_neurons, "k": self.k}

    def extra_repr(self) -> str:
        """Return the sizes, for the module's repr."""
        return ", ".join(f"{name}={value}" for name, value in self.config.items() if name != "model")

    def pre_activations(self, x: Tensor) -> Tensor:
        """Return how strongly each neuron responds to inputs (..., d), before ReLU and TopK; shape (..., N)."""
        with no_autocast(self.encoder.device):
            return linear((x - self.bias).to(self.encoder.dtype), self.encoder, self.encoder_bias)

    def select(self, pre: Tensor) -> Code:
        """Return the k largest of pre-activations (..., N) after ReLU; ties are broken arbitrarily."""
        values, neurons = top(pre, self.k)
        return Code(values.relu(), neurons)

    def encode(self, x: Tensor, shift: Tensor | None = None) -> Code:
        """Return the code of inputs (..., d); `shift`, of shape (N,) or (..., N), is added to the pre-activations."""
        if x.shape[-1] != self.d_in:
            raise InvalidInputError(
                f"x has vectors of {x.shape[-1]} numbers and the autoencoder takes {self.d_in}; give those of "
                "the layer that it was trained on."
            )
        if shift is None and _own_gradients():
            return encode_sparsely(x - self.bias, self.encoder, self.encoder_bias, self.k)
        if torch.is_grad_enabled() or traced():
            pre = self.pre_activations(x)
            return self.select(pre if shift is None else pre + shift)
        if shift is not None and shift.ndim > 1:
            shift = shift.expand(*x.shape[:-1], self.n_neurons).reshape(-1, self.n_neurons)
        flat = x.reshape(-1, self.d_in) - self.bias
        return _unflatten(_encode(flat, self.encoder, self.encoder_bias, self.k, shift), x)

    def decode(self, code: Code) -> Tensor:
        """Return the inputs (..., d) that a code stands for."""
        return decode_sparsely(code, self.decoder) + self.bias

    def forward(self, x: Tensor) -> Tensor:
        """Return the reconstruction of inputs (..., d)."""
        return self.decode(self.encode(x))


def fired(code: Code, n_neurons: int) -> Tensor:
    """Return for how many inputs each neuron is active, (N,)."""
    counts = torch.zeros(n_neurons, dtype=torch.int64, device=code.values.device)
    return counts.index_add_(0, code.neurons.flatten(), (code.values > 0).flatten().long())


def top(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k largest of values (..., N), in no order, and where they are; both (..., k).

    The k largest lie in the k groups with the largest maxima, so that looking only there is exact; on a CPU it is two
    to four times as fast as ``torch.topk`` for a few dozen of some thousands.
    """
    n = values.shape[-1] // _GROUP
    if values.shape[-1] % _GROUP or n < 2 * k or values.is_cuda:
        found = values.topk(k, dim=-1, sorted=False)
        return found.values, found.indices
    # Members of one group stand n apart, so that maxima are taken of whole rows at once.
    groups = values.reshape(*values.shape[:-1], _GROUP, n)
    best = _largest(groups.detach().amax(dim=-2), k)
    among = groups.gather(-1, best.unsqueeze(-2).expand(*best.shape[:-1], _GROUP, k)).flatten(-2)
    places = _largest(among.detach(), k)
    return among.gather(-1, places), places // k * n + best.gather(-1, places % k)


def _largest(values: Tensor, k: int) -> Tensor:
    """Return where the k largest of values (..., n) are, in no order.

    NumPy finds the k-th largest several times as fast as torch, and what reaches it is selected. Where ties make that
    more than k, or values are NaN, torch selects.
    """
    if _for_numpy(values) and not traced():
        n = values.shape[-1]
        flat = values.reshape(-1, n)
        kth = np.partition(flat.numpy(), n - k, axis=1)[:, n - k, None]
        found = np.flatnonzero(flat.numpy() >= kth)
        if len(found) == len(flat) * k:
            places = found.reshape(-1, k) - np.arange(0, flat.numel(), n)[:, None]
            if (places[:, 0] >= 0).all() and (places[:, -1] < n).all():  # k in every row
                return torch.from_numpy(places).reshape(*values.shape[:-1], k)
    return values.topk(k, dim=-1, sorted=False).indices


def _for_numpy(values: Tensor) -> bool:
    """Whether NumPy and SciPy take these numbers as they are."""
    return values.device.type == "cpu" and values.dtype in (torch.float32, torch.float64)


def _own_gradients() -> bool:
    """Whether to go through the functions below."""
    return torch.is_grad_enabled() and not traced()


def encode_sparsely(x: Tensor, encoder: Tensor, encoder_bias: Tensor, k: int) -> Code:
    """Return the k largest of ``relu(x @ encoder.T + encoder_bias)`` for x (..., d), with a sparse backward pass."""
    flat = x.reshape(-1, x.shape[-1]).to(encoder.dtype)
    return _unflatten(_Encode.apply(flat, encoder, encoder_bias, k), x)  # type: ignore[no-untyped-call]


def decode_sparsely(code: Code, decoder: Tensor) -> Tensor:
    """Return the sums (..., d) of decoder rows that a code stands for, with a sparse backward pass."""
    if transformed():
        return (code.values[..., None] * decoder[code.neurons]).sum(dim=-2)
    values, neurons = (part.reshape(-1, part.shape[-1]) for part in code)
    values = values.to(decoder.dtype)
    if _own_gradients():
        sums: Tensor = _Decode.apply(values, neurons, decoder)  # type: ignore[no-untyped-call]
    else:
        sums = embedding_bag(neurons, decoder, per_sample_weights=values, mode="sum")
    return sums.reshape(*code.values.shape[:-1], decoder.shape[1])


def pre_activations_in_blocks(x: Tensor, encoder: Tensor, encoder_bias: Tensor, rows: int = ROWS) -> Iterator[Tensor]:
    """Yield ``x @ encoder.T + encoder_bias`` for blocks of x (B, d), each in the memory of the one before."""
    memory = encoder.new_empty(min(rows, len(x)), len(encoder))
    for part in torch.split(x, rows):
        with no_autocast(encoder.device):
            torch.addmm(encoder_bias, part.to(encoder.dtype), encoder.T, out=memory[: len(part)])
        yield memory[: len(part)]


def _encode(x: Tensor, encoder: Tensor, encoder_bias: Tensor, k: int, shift: Tensor | None = None) -> Code:
    """Encode inputs (B, d) in blocks; `shift` is of shape (N,) or (B, N)."""
    rows = max(1, len(x)) if x.is_cuda else ROWS
    shifts = repeat(shift) if shift is None or shift.ndim == 1 else torch.split(shift, rows)
    found = []
    for pre, added in zip(pre_activations_in_blocks(x, encoder, encoder_bias, rows), shifts, strict=False):
        found.append(top(pre if added is None else pre.add_(added), k))
    values, neurons = (torch.cat(of_parts) for of_parts in zip(*found, strict=True))
    return Code(values.relu_(), neurons)


def _unflatten(code: tuple[Tensor, Tensor], x: Tensor) -> Code:
    return Code(*(part.reshape(*x.shape[:-1], part.shape[-1]) for part in code))


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, encoder: Tensor, encoder_bias: Tensor, k: int) -> tuple[Tensor, Tensor]:
        values, neurons = _encode(x, encoder, encoder_bias, k)
        ctx.save_for_backward(x, encoder, values, neurons)
        ctx.mark_non_differentiable(neurons)
        return values, neurons

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slopes: Tensor, _: Any) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, encoder, values, neurons = ctx.saved_tensors
        slopes = slopes.masked_fill(values == 0, 0.0)  # (B, K); ReLU
        of_x = of_encoder = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = embedding_bag(neurons, encoder, per_sample_weights=slopes, mode="sum")
        if ctx.needs_input_grad[1]:
            of_encoder = _gather_rows(slopes, neurons, x, len(encoder))
        if ctx.needs_input_grad[2]:
            of_bias = slopes.new_zeros(len(encoder)).index_add_(0, neurons.flatten(), slopes.flatten())
        return of_x, of_encoder, of_bias, None


class _Decode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, neurons: Tensor, decoder: Tensor) -> Tensor:
        ctx.save_for_backward(values, neurons, decoder)
        return embedding_bag(neurons, decoder, per_sample_weights=values, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        values, neurons, decoder = ctx.saved_tensors
        of_values = of_decoder = None
        if ctx.needs_input_grad[0]:
            of_values = _products(slopes, decoder, neurons)
        if ctx.needs_input_grad[2]:
            of_decoder = _gather_rows(values, neurons, slopes, len(decoder))
        return of_values, None, of_decoder


def _products(queries: Tensor, rows: Tensor, chosen: Tensor) -> Tensor:
    """Return the products (B, K) of each query (B, d) with its chosen ones of the rows (N, d)."""
    if _for_numpy(queries):  # elements of a sparse matrix, in a quarter of the time
        ends = torch.arange(0, chosen.numel() + 1, chosen.shape[1], device=chosen.device)
        return sampled_products(queries, rows, ends, chosen.flatten()).view_as(chosen)
    buffer, found = torch.empty_like(queries), queries.new_empty(chosen.shape)  # one, for fresh memory costs far more
    for codes, products in zip(chosen.unbind(dim=1), found.unbind(dim=1), strict=True):
        torch.index_select(rows, 0, codes, out=buffer)
        torch.sum(buffer.mul_(queries), dim=1, out=products)
    return found


def _gather_rows(weights: Tensor, neurons: Tensor, rows: Tensor, n_neurons: int) -> Tensor:
    """Return for each neuron the weighted sum of the rows (B, d) in whose code it is; (N, d).

    The transpose of decoding. Sorted by neuron it is a sum over bags again, which is faster than adding row by row.
    """
    n_rows, k = neurons.shape
    if _for_numpy(weights):  # SciPy sorts by counting, in a quarter of the time
        ends = np.arange(0, n_rows * k + 1, k)
        by_row = csr_matrix((weights.flatten().numpy(), neurons.flatten().numpy(), ends), shape=(n_rows, n_neurons))
        by_neuron = by_row.tocsc()
        weights, at, starts = map(torch.from_numpy, (by_neuron.data, by_neuron.indices, by_neuron.indptr[:-1]))
    else:
        flat, order = neurons.flatten().sort(stable=True)  # stable, so that sums have the same bits every time
        starts = torch.searchsorted(flat, torch.arange(n_neurons, device=flat.device))
        weights, at = weights.flatten()[order], order // k
    return embedding_bag(at, rows, starts, per_sample_weights=weights, mode="sum")
