"""Trade-off curves: a dial is swept, every setting is measured, and one is chosen on validation."""

from headtail.tradeoffs.frontier import Frontier
from headtail.tradeoffs.points import Estimate, Point, Setting
from headtail.tradeoffs.sweeping import sweep

__all__ = ["Estimate", "Frontier", "Point", "Setting", "sweep"]
