"""What the models share: rows of an embedding table, and the arguments that make a model again."""

from torch import Tensor, nn
from torch.nn.functional import embedding


def rows_of(table: Tensor, codes: Tensor) -> Tensor:
    """Return the rows (B, d) of a table (N, d) whose codes (B,) are given.

    Of torch's two look-ups ``index_select`` has the faster backward pass on a CPU, and ``embedding`` a deterministic
    one on CUDA.
    """
    return embedding(codes, table) if table.is_cuda else table.index_select(0, codes)


def config_of(model: nn.Module, *names: str) -> dict[str, object]:
    """Return the name of a model's class under ``"model"``, and these of its attributes."""
    return {"model": type(model).__name__, **{name: getattr(model, name) for name in names}}
