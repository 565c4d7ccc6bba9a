"""Adam for tables of which a batch touches few rows."""

from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from headtail._products import row_blocks
from headtail.exceptions import InvalidInputError
from headtail.typing import Array, Floats

_MOMENTS = ("exp_avg", "exp_avg_sq")


class Adam(torch.optim.Adam):
    """Adam whose step may touch a few rows of a table; the others are brought up to date when they are asked for.

    Adam moves the rows without a gradient, too, by what is left of their momentum and by weight decay. Here a row that
    was last moved at step s makes up for the steps up to t at once, before anything reads it. With a_j the bias
    correction of step j, n = t - s and g = weight_decay * w::

        v_t = beta2^n v + (1 - beta2^n) g^2,    m_t = beta1^n m + (1 - beta1^n) g
        w_t = w - lr * sum_j a_j ( beta1^(j-s) m + (1 - beta1^(j-s)) g ) / sqrt(v_j),    j = s+1 .. t

    The sums have closed forms where v_j only decays, so that without weight decay the weights are Adam's, but for
    rounding and epsilon (1e-8), which is taken once for all of the steps. With weight decay v_j is taken to decay to
    v_t, and w shrinks as ``exp(-lr * ...)``: rows that are hardly ever touched go to 0 smoothly, where Adam
    makes them swing about it by steps of `lr`.

    `tables`, (N, d), are those of the parameters of which rows may be taken.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], tables: Iterable[nn.Parameter] = (), **settings: Any
    ) -> None:
        super().__init__(parameters, **settings)
        self._tables = tuple(tables)
        self._taken: list[tuple[nn.Parameter, Array, Tensor, Tensor, Tensor]] = []
        for table in self._tables:
            self._moments(table)
        self._begin(0)

    def _begin(self, now: int) -> None:
        """Take all rows to be up to date."""
        self._now, self._past = now, _Past(self.defaults, 0)
        self._moved = {table: np.full(len(table), now) for table in self._tables}  # the step that each row is at

    def load_state_dict(self, state_dict: Any) -> None:
        """Resume from the state of an optimizer whose rows were all up to date."""
        super().load_state_dict(state_dict)
        self._begin(int(self.state[self._tables[0]]["step"].item()) if self._tables else 0)

    @torch.no_grad()
    def rows(self, table: nn.Parameter, codes: Array) -> Tensor:
        """Return these rows (B, d) of a table, none twice, for the next step to move by their gradient."""
        values, mean, square = (_take(part, codes) for part in (table, *self._moments(table)))
        self._catch_up(values, mean, square, self._moved[table][codes])
        self._taken.append((table, codes, values.requires_grad_(), mean, square))
        return values

    @torch.no_grad()
    def refresh(self, *tables: nn.Parameter) -> None:
        """Bring all rows of these tables, or of all, up to date, for whatever reads them whole."""
        for table in tables or self._tables:
            self._catch_up(table, *self._moments(table), self._moved[table])
            self._moved[table][:] = self._now

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Move whole parameters that have a gradient, and the rows that were taken; let go of the gradients."""
        (group,) = self.param_groups
        beta1, beta2 = group["betas"]
        self.check()
        moved = [(p, p, *self._moments(p)) for p in group["params"] if p.grad is not None]
        moved += [(table, values, mean, square) for table, _, values, mean, square in self._taken]
        if not moved:
            raise InvalidInputError(
                "the loss depends on no parameter of the model, so nothing is learned. Make its vectors of tensors "
                "that are its nn.Parameters."
            )
        tables, values, means, squares = map(list, zip(*moved, strict=True))
        adam(
            values, [cast(Tensor, rows.grad).to_dense() for rows in values], means, squares, [],
            [self.state[table]["step"] for table in tables], foreach=False, fused=bool(group["fused"]), amsgrad=False,
            beta1=beta1, beta2=beta2, lr=group["lr"], weight_decay=group["weight_decay"], eps=group["eps"],
            maximize=False,
        )  # fmt: skip
        for rows in values:
            rows.grad = None
        self.settle()

    def check(self) -> None:
        """Raise if a table of which rows were taken has a gradient of another way."""
        if any(table.grad is not None for table, *_ in self._taken):
            raise InvalidInputError(
                "the loss reads a large table of the model beside the scores it is given, and a batch moves a few rows "
                "of it alone. Make what it adds a penalty, a function of queries and items."
            )

    def parts(self, table: nn.Parameter) -> list[Tensor]:
        """Return the rows of a table that were taken, or all of them, and their moments."""
        found = (parts for taken, _, *parts in self._taken if taken is table)
        return next(found, [table, *self._moments(table)])

    @torch.no_grad()
    def count(self, *tables: nn.Parameter) -> list[np.float32]:
        """Count a step of tables that are moved elsewhere; return its rate, root, betas, weight decay and epsilon."""
        for table in tables:
            self.state[table]["step"] += 1
        (group,), step = self.param_groups, self.state[tables[0]]["step"].item()
        beta1, beta2 = group["betas"]
        rate, root = group["lr"] / (1 - beta1**step), (1 - beta2**step) ** -0.5
        return [np.float32(x) for x in (rate, root, beta1, beta2, group["weight_decay"], group["eps"])]

    @torch.no_grad()
    def settle(self) -> None:
        """End a step: put back the rows that were taken."""
        self._now += 1
        whole = {*self._tables}
        for table, codes, *parts in self._taken:
            whole.discard(table)
            for target, rows in zip((table, *self._moments(table)), parts, strict=True):
                _put(target, codes, rows)
            self._moved[table][codes] = self._now
        for table in whole:
            self._moved[table][:] = self._now
        self._taken.clear()

    def _moments(self, parameter: nn.Parameter) -> tuple[Tensor, Tensor]:
        """Return both moments of a parameter, 0 at its first gradient."""
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state.update((name, torch.zeros_like(parameter, requires_grad=False)) for name in _MOMENTS)
        return state["exp_avg"], state["exp_avg_sq"]

    def _catch_up(self, values: Tensor, mean: Tensor, square: Tensor, moved: Array) -> None:
        """Make up in place for the steps from those in `moved` (B,) to the present."""
        if not len(moved) or moved.min() == self._now:
            return
        if self._now > self._past.end:
            self._past = _Past(self.defaults, 2 * self._now)
        factors = torch.from_numpy(self._past.factors(moved, self._now)).to(values.device, values.dtype)  # (6, B)
        for part, w in row_blocks(values):
            m, v = mean[part], square[part]
            keep, by_mean, by_decay, keep_mean, to_mean, to_square = (f[:, None] for f in factors[:, part])
            v.mul_(keep).addcmul_(w.square(), to_square)
            size = v.sqrt().add_(self._past.eps)
            w.addcdiv_(m * by_mean, size, value=-1).mul_(torch.div(by_decay, size, out=size).neg_().exp_())
            m.mul_(keep_mean).addcmul_(w, to_mean)


def _as_elements(table: Tensor) -> Array:
    """Return a table on a CPU, of any type, as an array whose elements are its rows: NumPy moves these fastest."""
    rows = table.detach().view(torch.uint8).numpy()
    return np.asarray(rows.view(f"V{rows.shape[1]}")[:, 0])


def _take(table: Tensor, codes: Array) -> Tensor:
    """Return rows of a table, in two thirds of torch's time on a CPU."""
    if table.device.type != "cpu":
        return table.detach().index_select(0, torch.from_numpy(codes).to(table.device))
    rows = _as_elements(table).take(codes)
    return torch.from_numpy(rows.view(np.uint8).reshape(len(codes), -1)).view(table.dtype)


def _put(table: Tensor, codes: Array, rows: Tensor) -> None:
    """Set rows of a table, in a third of torch's time on a CPU."""
    if table.device.type == "cpu":
        _as_elements(table)[codes] = _as_elements(rows)
    else:
        table.index_copy_(0, torch.from_numpy(codes).to(table.device), rows.detach())


class _Past:
    """What steps without a gradient do to a row, for steps up to `end`."""

    def __init__(self, settings: Mapping[str, Any], end: int) -> None:
        (beta1, beta2), self.lr, self.decay = settings["betas"], settings["lr"], settings["weight_decay"]
        self.end, self.eps = end, settings["eps"]
        steps = np.arange(end + 512.0)  # beta1^512 is 0
        self.kept_mean, self.kept, self.root = beta1**steps, beta2**steps, beta2 ** (steps / 2)
        bias = np.sqrt(1 - self.kept[1:]) / (1 - self.kept_mean[1:])  # a_1, a_2 ...
        ratio = beta1 / np.sqrt(beta2)
        # From step t: sum_j>t ratio^(j-t) a_j; up to step t: sum_j<=t beta2^((t-j)/2) a_j.
        self.after = _running(bias[::-1], ratio)[::-1] * ratio
        self.before = np.concatenate([[0.0], _running(bias, np.sqrt(beta2))])

    def factors(self, moved: Array, now: int) -> Floats:
        """Return six numbers a row, (6, B), for steps from `moved` (B,) to `now`."""
        missed = now - moved
        kept_mean, root = self.kept_mean[missed], self.root[missed]
        by_mean = self.lr * (root * self.after[moved] - kept_mean * self.after[now])
        by_decay = self.decay * (self.lr * (self.before[now] - root * self.before[moved]) - by_mean)
        kept = self.kept[missed]
        first = moved == 0  # v is 0 then, and grows by weight decay alone
        by_decay[first] = (self.decay * self.lr * missed * np.sqrt(1 - kept))[first]
        to_mean, to_square = self.decay * (1 - kept_mean), self.decay**2 * (1 - kept)
        return np.stack([kept, by_mean, by_decay, kept_mean, to_mean, to_square])


def _running(values: Floats, factor: float) -> Floats:
    """Return the sums of `values` in which each earlier one counts `factor` times the next."""
    return np.array(list(accumulate(values.tolist(), lambda total, value: factor * total + value)))
