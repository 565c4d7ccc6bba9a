from .checkpoints import load_model, save_model
from .encoding import inputs, vectors
from .history import History
from .loop import fit
from .ranking import recommend
from .recipes import Recipe

__all__ = ["History", "Recipe", "fit", "inputs", "load_model", "recommend", "save_model", "vectors"]
