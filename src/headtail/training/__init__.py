"""Training of embedding models, and what a trained one recommends."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)  # recommending from factors needs no PyTorch
