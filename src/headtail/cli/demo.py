"""``headtail demo``."""

from pathlib import Path

from headtail.cli._app import Folder, Whole, with_example
from headtail.cli._output import console


@with_example("headtail demo")
def demo(*, output: Folder = Path("headtail-demo"), seed: Whole = 0) -> None:
    """Measure, explain and correct the popularity bias of a recommender on real data, and write a report.

    Parameters
    ----------
    output
        Folder for the report (HTML, Markdown, JSON), the explorer and the corrected recommendations.
    seed
        Seed of the splits and of training.
    """
    from headtail.demo import run_demo

    run_demo(output, rng=seed, console=console())
