"""Training of a sparse autoencoder."""

import copy
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from headtail._checks import checked, generator, integer, number
from headtail._checksums import digest
from headtail._tensors import as_device, learning, no_autocast
from headtail.exceptions import InvalidInputError
from headtail.sae.autoencoder import TopKSAE, decode_sparsely, encode_sparsely, fired
from headtail.sae.rows import Rows
from headtail.training.checkpoints import Run
from headtail.training.history import History
from headtail.training.running import Advance, Watch, steps, train_epochs
from headtail.typing import RNG, ArrayLike2D

_SOME = 4096  # rows, at least, by which a start from the data is scaled
_TIMED = 1024  # rows that are encoded to find out how many threads to use


@checked
def fit_sae(
    sae: TopKSAE,
    activations: ArrayLike2D,
    *,
    start: Literal["given", "data"] | None = None,
    validation: "ArrayLike2D | float" = 0.05,
    aux_weight: float = 0.5,
    epochs: int = 50,
    batch_size: int = 4096,
    lr: float = 1e-3,
    patience: int | None = 5,
    dead_after: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = True,
    device: str | torch.device | None = None,
    rng: RNG = 0,
    progress: bool | None = None,
) -> History:
    """Train a sparse autoencoder in place on vectors of a model.

    The loss is ``FVU + aux_weight * aux``. FVU, the fraction of variance unexplained, is
    ``sum ||x - x_hat||^2 / sum ||x - mean||^2``, the variance being that of all training rows about their mean, so that
    a batch's loss does not depend on what else is in the batch. ``aux`` lets neurons that are dead (silent for
    `dead_after` rows) model what the others leave over: they alone encode the input, at most 2d at a time, and the sum
    of their decoder rows, without the bias, is compared with the residual ``x - x_hat``, on the scale of FVU and times
    ``min(n_dead / 2d, 1)``. Only the dead neurons learn from it. The optimizer is Adam; decoder rows keep length 1: the
    part of their gradient along themselves is taken out, and they are normalized after every step.

    Inside, the vectors are centered on their mean and divided by one number, the root of their mean variance, so
    that the same `lr` fits any model; the result is written back so that the autoencoder takes the vectors as they are.

    Source: Gao et al., "Scaling and evaluating sparse autoencoders", 2024, sections 2.3 to 2.4 and appendix A.2.
    Directions of the data as a start: after Fel et al., "Archetypal SAE", ICML 2025, whose decoder rows stay
    combinations of them.

    Parameters
    ----------
    sae : TopKSAE
        Changed in place, when training has ended well: the weights are those of the best epoch by `validation`. A bias
        that is all zero, as in a new one, starts from the mean of the activations; a trained one continues from its
        weights.
    activations : array or tensor of shape (n, d)
        Vectors of the model in evaluation mode. A memory-mapped array (``np.load(path, mmap_mode="r")``) is read
        batch by batch and shuffled within windows of 262,144 rows.
    start : {"given", "data"}, optional
        Where training starts: from the weights as they are, or, "data", with the directions of rows drawn at random as
        decoder and, scaled so that reconstructions are as large as rows, as encoder. Other seeds then find more of the
        same directions, in fewer epochs. Without it a new autoencoder, whose biases are all zero, starts from the data,
        and another from its weights.
    validation : array of shape (m, d), or float in [0, 0.5], default 0.05
        Vectors to watch FVU on for early stopping, or the share of the rows to hold out for that, at random and at most
        131,072 of them; 0 for none.
    aux_weight : float, default 0.5
    epochs, batch_size, lr : int, int and float, default 50, 4096 and 0.001
        Passes over the training rows, at most; rows of a batch; Adam's learning rate.
    patience : int or None, default 5
        Epochs without a better validation FVU after which training stops; None never stops early.
    dead_after : int, optional
        Training rows without a single activation after which a neuron counts as dead; those of one epoch without it.
    checkpoint, resume, device, rng, progress
        As for :func:`headtail.fit`, with a checkpoint after every epoch.

    Returns
    -------
    History
        One row an epoch: ``loss`` (FVU) and ``auxiliary`` in training, the share of neurons that are ``dead`` at its
        end, and ``fvu`` on the validation part.

    Raises
    ------
    TrainingDivergedError
        If the loss or a weight is not finite; the autoencoder and the checkpoint before stay as they are.
    CheckpointMismatchError
        If the checkpoint is of another autoencoder, other vectors or other settings.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> directions = rng.standard_normal((12, 6))
    >>> vectors = np.eye(12)[rng.integers(12, size=2000)] @ directions  # one of twelve directions each
    >>> sae = TopKSAE(d_in=6, expansion=4, k=2, rng=0)
    >>> history = fit_sae(sae, vectors, epochs=50, batch_size=100, lr=0.01, rng=0)
    >>> history.metric, history.best_value < 1e-6
    ('fvu', True)
    """
    if frozen := [name for name, weights in sae.named_parameters() if not weights.requires_grad]:
        raise InvalidInputError(
            f"{frozen[0]} of the autoencoder does not require gradients, and all its weights are trained. Call "
            f"sae.requires_grad_() first."
        )
    aux_weight = number("aux_weight", aux_weight, low=0)
    lr = number("lr", lr, low=0, low_open=True)
    new = not (sae.bias.any() or sae.encoder_bias.any())
    begins = start or ("data" if new else "given")
    epochs = integer("epochs", epochs, low=1)
    batch_size = integer("batch_size", batch_size, low=1)
    if patience is not None:
        patience = integer("patience", patience, low=1)
    random = generator(rng)
    data = Rows.prepare(activations, validation, sae.d_in, random)
    dead_after = len(data.rows) if dead_after is None else integer("dead_after", dead_after, low=1)
    how: dict[str, Any] = {"aux_weight": aux_weight, "batch_size": batch_size, "lr": lr, "dead_after": dead_after}
    settings = {
        **{f"model.{name}": value for name, value in sae.config.items()},
        "weights": digest(*(p.detach().cpu().float().numpy() for p in sae.parameters())),
        "activations": data.fingerprint,
        "start": begins,
        "patience": patience,
        **how,
    }

    device = as_device(device) if device is not None else sae.bias.device
    with learning(sae), no_autocast(device):
        sae.to(device)
        learner = _centered(sae, data)  # the original is only touched at the end
        if begins == "data":
            _start_at(learner, next(data.batches(max(_SOME, sae.n_neurons), random, device)))
        stepping = _Stepping(learner, data, random, **how)
        watch = Watch("fvu", lambda: data.held_out_fvu(learner, device), "lower", patience)
        with _quickest_threads(learner, batch_size) if device.type == "cpu" else nullcontext():
            history = train_epochs(
                Run(learner, random, device, settings, stepping.optimizer, {"silent": stepping.silent}), stepping.epoch,
                title="autoencoder", epochs=epochs, size=len(data.rows), watch=watch if len(data.held_out) else None,
                checkpoint=checkpoint, resume=resume, progress=progress,
            )  # fmt: skip
        _write_back(learner, data, sae)
        return history


class _Stepping:
    """An epoch of gradient steps; `silent` counts the rows since each neuron was last active, (N,)."""

    def __init__(
        self, sae: TopKSAE, data: Rows, random: np.random.Generator, *, aux_weight: float, batch_size: int, lr: float,
        dead_after: int,
    ) -> None:  # fmt: skip
        self.sae, self.data, self.random, self.device = sae, data, random, sae.bias.device
        self.aux_weight, self.batch_size, self.lr, self.dead_after = aux_weight, batch_size, lr, dead_after
        self.silent = torch.zeros(sae.n_neurons, dtype=torch.int64, device=self.device)
        self.optimizer = torch.optim.Adam(sae.parameters(), lr=lr, fused=self.device.type in ("cpu", "cuda"))

    def epoch(self, number: int, advance: Advance) -> dict[str, float]:
        """Take a step for every batch; return the mean losses, and the share of the neurons that are dead then."""
        batches = self.data.batches(self.batch_size, self.random, self.device)
        means = steps(batches, self._step, self.sae, ("loss", "auxiliary"), self._cause, number, advance)
        return {**means, "dead": float((self.silent >= self.dead_after).double().mean())}

    def _step(self, _: int, x: Tensor) -> tuple[list[Tensor], int]:
        fvu, auxiliary = _losses(self.sae, x, self.silent, self.dead_after)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(fvu + self.aux_weight * auxiliary)
        _step(self.sae, self.optimizer)
        return [fvu, auxiliary], len(x)

    def _cause(self, _: str) -> str:
        return f"lr={self.lr:g} is too high (try {self.lr / 10:g})"


@torch.no_grad()
def _centered(sae: TopKSAE, data: Rows) -> TopKSAE:
    """Return a copy that does to vectors that are centered and scaled what the autoencoder does to them as they are."""
    learner = copy.deepcopy(sae).float()
    if learner.bias.any():  # trained before
        learner.bias.sub_(data.mean.to(learner.bias)).div_(data.scale)
    learner.encoder_bias.div_(data.scale)
    return learner


@torch.no_grad()
def _write_back(learner: TopKSAE, data: Rows, sae: TopKSAE) -> None:
    """Give the autoencoder what was learned: relu(E (x - b) / scale + e) * scale = relu(E (x - b) + e * scale)."""
    learner.encoder_bias.mul_(data.scale)
    learner.bias.mul_(data.scale).add_(data.mean.to(learner.bias))
    sae.load_state_dict(learner.state_dict())
    sae.eval()


@contextmanager
def _quickest_threads(sae: TopKSAE, batch_size: int) -> Iterator[None]:
    """Compute with all of torch's threads or with one, whichever is quicker at such a batch now.

    Threads wait for each other at the end of every operation, so that where other programs keep the cores busy several
    are a fraction as fast as one. What is computed does not depend on it.
    """
    given, random = torch.get_num_threads(), torch.Generator("cpu").manual_seed(0)
    some = torch.randn(min(batch_size, _TIMED), sae.d_in, generator=random, device="cpu")
    seconds = dict.fromkeys((given, 1), 0.0)
    try:
        for threads in 3 * (given, 1) if given > 1 else ():
            torch.set_num_threads(threads)
            started = time.perf_counter()
            with torch.no_grad():
                sae(some)
            seconds[threads] += time.perf_counter() - started  # the sum: what several lose, they lose now and then
        torch.set_num_threads(min(seconds, key=seconds.__getitem__))
        yield
    finally:
        torch.set_num_threads(given)


@torch.no_grad()
def _start_at(sae: TopKSAE, x: Tensor) -> None:
    """Turn neurons, as many as there are different rows (B, d), to the directions of these."""
    _, places = np.unique(x.cpu().numpy(), axis=0, return_index=True)
    different = x[torch.from_numpy(np.sort(places)).to(x.device)]
    rows = nn.functional.normalize(different[different.any(dim=1)][: sae.n_neurons], dim=1)
    sae.decoder[: len(rows)] = sae.encoder[: len(rows)] = rows
    sae.encoder_bias.zero_()
    sae.bias.zero_()
    rebuilt = sae(x)  # too large: neurons of like directions all speak for a row
    sae.encoder.mul_((x * rebuilt).sum() / rebuilt.square().sum())


def _losses(sae: TopKSAE, x: Tensor, silent: Tensor, dead_after: int) -> tuple[Tensor, Tensor]:
    """Return FVU and auxiliary loss of a batch (B, d) of data with mean 0 and mean squared length d."""
    code = encode_sparsely(x - sae.bias, sae.encoder, sae.encoder_bias, sae.k)
    residual = x - sae.decode(code)
    fvu = residual.square().sum(dim=1).sum() / x.numel()  # row by row: the same bits with any number of threads

    dead = (silent >= dead_after).nonzero()[:, 0]
    auxiliary = fvu.new_zeros(())
    if len(dead):
        most = 2 * sae.d_in
        encoder, encoder_bias = sae.encoder.index_select(0, dead), sae.encoder_bias.index_select(0, dead)
        spare = encode_sparsely((x - sae.bias).detach(), encoder, encoder_bias, min(most, len(dead)))
        explained = decode_sparsely(spare, sae.decoder.index_select(0, dead))
        auxiliary = (residual.detach() - explained).square().sum(dim=1).sum() / x.numel() * min(len(dead) / most, 1.0)

    silent.add_(len(x)).masked_fill_(fired(code, sae.n_neurons) > 0, 0)
    return fvu, auxiliary


@torch.no_grad()
def _step(sae: TopKSAE, optimizer: torch.optim.Optimizer) -> None:
    """Update all weights, the decoder's rows on the unit sphere."""
    slope = sae.decoder.grad
    if slope is not None:
        slope.sub_(torch.linalg.vecdot(slope, sae.decoder)[:, None] * sae.decoder)
    optimizer.step()
    nn.functional.normalize(sae.decoder, dim=1, out=sae.decoder)
