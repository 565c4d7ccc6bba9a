"""Data to begin with: one real set that is part of the package, a reader for MovieLens, and synthetic worlds."""

from headtail.datasets.real import DATASETS, movielens, movietweetings
from headtail.datasets.synthetic import World, checkerboard, power_law

__all__ = ["DATASETS", "World", "checkerboard", "movielens", "movietweetings", "power_law"]
