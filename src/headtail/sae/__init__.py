"""Sparse autoencoders of a model's vectors: their neurons found, explained and steered.

Models and edits that are given are never changed.
"""

import headtail._torch  # noqa: F401 - first, for its error

from headtail.sae.autoencoder import Code, TopKSAE
from headtail.sae.concepts import Concepts, find_concepts
from headtail.sae.contrasts import Contrast, contrast, contrast_items, states
from headtail.sae.controls import Direction, steer_direction
from headtail.sae.hooks import activations, attach
from headtail.sae.neurons import Neurons, find_neurons
from headtail.sae.quality import SAEQuality, sae_quality, stability
from headtail.sae.steered import Steered
from headtail.sae.steering import Steering, neuron_edit, steer
from headtail.sae.storage import load_neurons, load_sae, load_steered, save_neurons, save_sae, save_steered
from headtail.sae.synthetic import extreme_users, item_sets, synthetic_users
from headtail.sae.tag_steering import steer_tag
from headtail.sae.taste import Excess, personal_strength, spree
from headtail.sae.training import fit_sae

__all__ = [
    "Code", "Concepts", "Contrast", "Direction", "Excess", "Neurons", "SAEQuality", "Steered", "Steering",
    "TopKSAE", "activations", "attach", "contrast", "contrast_items", "extreme_users", "find_concepts",
    "find_neurons", "fit_sae", "item_sets", "load_neurons", "load_sae", "load_steered", "neuron_edit",
    "personal_strength", "sae_quality", "save_neurons", "save_sae", "save_steered", "spree", "stability", "states",
    "steer", "steer_direction", "steer_tag", "synthetic_users",
]  # fmt: skip
