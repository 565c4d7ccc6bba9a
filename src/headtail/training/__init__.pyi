from .checkpoints import load_model as load_model, save_model as save_model
from .encoding import inputs as inputs, vectors as vectors
from .history import History as History
from .loop import fit as fit
from .ranking import recommend as recommend
from .recipes import Recipe as Recipe
