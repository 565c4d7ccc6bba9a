"""Who bears allocation, and what few validation data do to it: the bundled MovieTweetings, ALS.

Allocation alone, the alpha-fair tilt alone, and both for validation to choose from, each for at most 2% of NDCG there,
once with the whole validation part and once with 500 interactions of it.

    python benchmarks/confidence.py
"""

import warnings
from dataclasses import replace

import numpy as np

import headtail as ht
from headtail._correction_page import bearers

ALLOCATION, TILT = "allocation", "tilt (alpha-fair)"


def main(few: int = 500) -> None:
    """Print each choice, what it does on the test, and for whom."""
    split = ht.split_ratio(ht.datasets.movietweetings(), rng=0)
    assert split.validation is not None
    model = ht.models.ALS.for_data(split.train, rng=0)
    ht.fit(model, split.train, progress=False)
    kept = np.random.default_rng(0).permutation(len(split.validation)) < few
    parts = {"whole": split.validation, f"{few} of it": split.validation.subset(kept)}
    for name, validation in parts.items():
        for dials in ([ALLOCATION], [TILT], [ALLOCATION, TILT]):
            with warnings.catch_warnings(action="ignore"):
                found = ht.correct(model, replace(split, validation=validation), dials=dials, k=20, progress=False)
            print(f"\n== validation: {name} ({len(validation):,}); {' or '.join(dials)}\n{found.verdict}")
            print(*found.notes, sep="\n")
            if found.dial is not None:
                for row in bearers(found.comparison, split.train, "ndcg@20").rows:
                    changes = (
                        f"{metric} {row[metric]:+.1%} ({row[f'{metric} low']:+.1%} to {row[f'{metric} high']:+.1%})"
                        for metric in ("ndcg@20", "arp@20")
                    )
                    print(f"  {row['group']}: {', '.join(changes)}")


if __name__ == "__main__":
    main()
