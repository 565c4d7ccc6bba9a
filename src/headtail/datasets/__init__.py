"""Data to begin with: one real set that is part of the package, readers for others, and synthetic worlds."""

from headtail.datasets.real import DATASETS, movielens, movietweetings
from headtail.datasets.synthetic import World, checkerboard, power_law
from headtail.datasets.uniform_exposure import uniform_exposure

__all__ = ["DATASETS", "World", "checkerboard", "movielens", "movietweetings", "power_law", "uniform_exposure"]
