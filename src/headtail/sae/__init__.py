"""Sparse autoencoders of a model's vectors: their neurons found, explained and steered."""

import headtail._torch  # noqa: F401 - first, for its error

from headtail.sae.autoencoder import Code, TopKSAE
from headtail.sae.controls import Direction, Noise, steer_direction, steer_noise, steer_random
from headtail.sae.effects import Excess, personal_strength
from headtail.sae.hooks import activations, attach, states
from headtail.sae.neuron_storage import load_neurons, save_neurons
from headtail.sae.neurons import Neurons, find_neurons
from headtail.sae.quality import Fidelity, SAEQuality, fidelity, sae_quality, stability
from headtail.sae.steered_storage import load_steered, save_steered
from headtail.sae.steering import Steered, Steering, steer, steering_weights
from headtail.sae.storage import load_sae, save_sae
from headtail.sae.synthetic import Contrast, contrast, extreme_users, item_sets, synthetic_users
from headtail.sae.training import fit_sae

__all__ = [
    "Code",
    "Contrast",
    "Direction",
    "Excess",
    "Fidelity",
    "Neurons",
    "Noise",
    "SAEQuality",
    "Steered",
    "Steering",
    "TopKSAE",
    "activations",
    "attach",
    "contrast",
    "extreme_users",
    "fidelity",
    "find_neurons",
    "fit_sae",
    "item_sets",
    "load_neurons",
    "load_sae",
    "load_steered",
    "personal_strength",
    "sae_quality",
    "save_neurons",
    "save_sae",
    "save_steered",
    "stability",
    "states",
    "steer",
    "steer_direction",
    "steer_noise",
    "steer_random",
    "steering_weights",
    "synthetic_users",
]
