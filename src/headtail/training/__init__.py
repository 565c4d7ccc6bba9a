"""Training of embedding models, and what a trained one recommends."""

from headtail.training.checkpoints import load_model, save_model
from headtail.training.history import History
from headtail.training.loop import fit
from headtail.training.ranking import inputs, recommend, vectors

__all__ = ["History", "fit", "inputs", "load_model", "recommend", "save_model", "vectors"]
