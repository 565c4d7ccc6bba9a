import numpy as np
import pytest

from headtail.reports import Chart, Column, Figure, Figures, Report, Section, Table, Text

MODELS = ("MF", "MF + ReSN", "Most popular", "Random")
TITLES = (
    "The Lord of the Rings: The Fellowship of the Ring (Extended Edition, remastered) (2001)",
    "Dr. Strangelove or: How I Learned to Stop Worrying and Love the Bomb (1964)",
    "<b>Bold & Brash</b>",
    "千と千尋の神隠し Spirited Away (2001)",
    "Amélie — Le Fabuleux Destin d'Amélie Poulain (2001)",
    "Ночной дозор (2004)",
    "M",
    "C:\\> | *stars* and _bars_ `code`",
)


def _exposure() -> Section:
    shares = {
        "training": (0.20, 0.60, 0.20),
        "MF": (0.712, 0.262, 0.026),
        "MF + ReSN": (0.448, 0.471, 0.081),
        "Most popular": (1.0, 0.0, 0.0),
        "Random": (0.021, 0.303, 0.676),
    }
    stacked = [
        {"model": model, "group": group, "share": share}
        for model, values in shares.items()
        for group, share in zip(("head", "mid", "tail"), values, strict=True)
    ]
    grouped = [row for row in stacked if row["model"] in ("MF", "MF + ReSN", "training")]
    for row in grouped:
        row |= {"low": row["share"] * 0.93, "high": min(1.0, row["share"] * 1.07)}
    x = np.linspace(0, 1, 41)
    lorenz = [
        {"items": a, "share": a**power, "of": name}
        for name, power in (("catalogue", 3.2), ("MF", 9.0), ("MF + ReSN", 4.6))
        for a in x
    ]
    return Section(
        "Exposure",
        [
            Text(
                "Exposure is the share of recommended places that a group of items gets. "
                "The *head* holds the first **20%** of training interactions, the *tail* the last 20%."
            ),
            Chart(
                "bar", stacked, "model", "share", color="group", stacked=True, y_format=".0%",
                title="Exposure by popularity group", caption="Share of the top-10 places of 4,333 users.",
                x_label="", y_label="share of exposure",
            ),
            Chart(
                "bar", grouped, "group", "share", color="model", low="low", high="high", y_format=".0%",
                title="The same before and after", caption="With bootstrap intervals over users.",
                x_label="popularity group", y_label="share of exposure",
            ),
            Chart(
                "line", lorenz, "items", "share", color="of", reference="diagonal", x_format=".0%", y_format=".0%",
                title="Lorenz curve", caption="The further below the diagonal, the more unequal.",
                x_label="share of items, least exposed first", y_label="share of exposure",
            ),
        ],
    )  # fmt: skip


def _spectrum() -> Section:
    sigma = [{"direction": i + 1, "sigma": 3000 * (i + 1) ** -1.4} for i in range(64)]
    alignment = [
        {"direction": i + 1, "cosine": 0.968 * 0.75**i + 0.02 * abs(np.sin(i)), "model": model}
        for model in ("MF", "MF + ReSN")
        for i in range(16)
    ]
    for row in alignment:
        row["cosine"] *= 0.6 if row["model"] == "MF + ReSN" else 1.0
        row |= {"low": row["cosine"] * 0.85, "high": min(1, row["cosine"] * 1.12)}
    return Section(
        "Spectrum",
        [
            Figures([
                Figure("Alignment of the first direction", 0.968, note="Cosine of q₁ with item popularity."),
                Figure("Energy of the first direction", 0.731, format=".1%"),
                Figure("Bound", "vacuous", note="Lower bound of the theorem; vacuous where it is below 0."),
            ]),
            Chart(
                "line", sigma, "direction", "sigma", y_scale="log", title="Singular values of the scores",
                x_label="direction", y_label="singular value",
            ),
            Chart(
                "line", alignment, "direction", "cosine", color="model", low="low", high="high",
                title="Alignment with popularity", x_label="direction", y_label="|cosine|",
            ),
        ],
    )  # fmt: skip


def _tradeoff() -> Section:
    rng = np.random.default_rng(3)
    rows = []
    for m, (name, floor) in enumerate({"ReSN": 0.42, "shrink": 0.47, "popularity penalty": 0.52, "tilt": 0.44}.items()):
        for i, weight in enumerate((0, 0.001, 0.003, 0.01, 0.03, 0.1)):
            share = 0.712 - (0.712 - floor) * (i / 5) ** 0.8
            ndcg = 0.156 - (0.004 + 0.006 * m) * (i / 5) ** 2.2 + rng.normal(0, 0.0002)
            rows.append({
                "method": name, "head": share, "ndcg": ndcg, "low": ndcg - 0.0022, "high": ndcg + 0.0022,
                "weight": f"{weight:g}", "chosen": i == 3,
            })  # fmt: skip
    points = [
        ("MF", 0.712, 0.156), ("MF + ReSN", 0.448, 0.1535), ("Most popular", 1.0, 0.082), ("Random", 0.021, 0.004),
        ("ALS", 0.66, 0.162), ("LightGCN", 0.70, 0.159), ("XSimGCL", 0.63, 0.1625), ("EASE", 0.68, 0.161),
    ]  # fmt: skip
    return Section(
        "Trade-off",
        [
            Chart(
                "scatter", rows, "head", "ndcg", color="method", low="low", high="high", label="weight", connect=True,
                chosen="chosen", x_format=".0%", y_format=".4f", title="Accuracy against head exposure",
                caption="Six settings of each method; the large marker is the one chosen on validation.",
                x_label="head exposure", y_label="NDCG@20",
            ),
            Chart(
                "scatter", [{"m": m, "h": h, "n": n} for m, h, n in points], "h", "n", label="m", x_format=".0%",
                title="Eight recommenders", x_label="head exposure", y_label="NDCG@20",
            ),
        ],
    )  # fmt: skip


def _items() -> Section:
    rng = np.random.default_rng(1)
    rows = [
        {
            "title": title, "popularity": int(2800 / (i + 1)), "exposure": float(0.09 / (i + 1)),
            "lift": float(rng.normal(0, 2)) if i != 4 else float("nan"),
            "group": ("head", "mid", "tail")[min(i // 2, 2)],
        }
        for i, title in enumerate(TITLES)
    ]  # fmt: skip
    columns = [
        Column("title", "Item"),
        Column("group", "Group"),
        Column("popularity", "Popularity", note="Training interactions of the item."),
        Column("exposure", "Exposure", ".2%", "Share of the recommended places."),
        Column("lift", "Lift", "+.2f", "Log ratio of exposure to popularity; 0 where both are equal."),
    ]
    return Section(
        "Items",
        [
            Table(columns, rows, "Most over-exposed items", "By the difference of exposure and popularity."),
            Chart("bar", rows, "title", "lift", title="Lift by item", y_label="log ratio", x_label="", y_format="+.2f"),
        ],
    )


@pytest.fixture(scope="session")
def sample() -> Report:
    metrics = [
        {
            "model": model, "ndcg": ndcg, "ndcg_low": ndcg - 0.004, "ndcg_high": ndcg + 0.004, "recall": ndcg * 1.3,
            "gini": gini, "gini_low": gini - 0.005, "gini_high": gini + 0.005, "arp": arp, "coverage": coverage,
        }
        for model, ndcg, gini, arp, coverage in (
            ("MF", 0.1560, 0.9137, 812.4, 0.312), ("MF + ReSN", 0.1535, 0.7712, 401.9, 0.655),
            ("Most popular", 0.0820, 0.9951, 1422.0, 0.008), ("Random", 0.0041, 0.1203, 28.2, 1.0),
        )
    ]  # fmt: skip
    ndcg_note = "Normalized discounted cumulative gain of the first 20 places; 0 to 1, higher is better."
    gini_note = "Inequality of exposure over the catalogue; 0 when all items get the same, 1 when one gets all."
    overview = Section(
        "Overview",
        [
            Table(
                [
                    Column("model", "Recommender"),
                    Column("ndcg", "NDCG@20", ".4f", ndcg_note, "higher", "ndcg_low", "ndcg_high"),
                    Column("recall", "Recall@20", ".4f", "Share of the held-out items that are recommended.", "higher"),
                    Column("gini", "Gini@10", ".3f", gini_note, "lower", "gini_low", "gini_high"),
                    Column("arp", "ARP@10", ",.0f", "Average popularity of the recommended items.", "lower"),
                    Column("coverage", "Coverage@10", ".1%", "Share of the catalogue that is recommended.", "higher"),
                ],
                metrics,
                "Accuracy and exposure",
                "4,333 users, 2,414 items. Intervals: 95%, bootstrap over users.",
            ),
        ],
    )  # fmt: skip
    return Report(
        "Popularity bias of MF on MovieTweetings",
        [
            Figures([
                Figure("NDCG@20", 0.156, 0.152, 0.160, note=ndcg_note),
                Figure("Gini@10", 0.9137, 0.909, 0.919, note=gini_note),
                Figure("Head exposure", 0.712, 0.70, 0.724, ".1%", "Share of the places that go to the head."),
                Figure("Tail exposure", 0.026, 0.024, 0.028, ".1%"),
                Figure("Popularity lift", float("nan"), note="Undefined without user histories."),
            ]),
            Text(
                "A recommender has **popularity bias** when popular items get more exposure than their popularity "
                "earns. This page measures that in three ways:\n\n- who gets the places,\n- what the scores' "
                "[spectrum](https://example.org/paper) says about `q_1`,\n- what correcting it costs.\n\n"
                "Text with <script>alert(1)</script> & an ampersand is shown as it is."
            ),
            overview, _exposure(), _spectrum(), _tradeoff(), _items(),
        ],
        "Trained on 47,638 interactions; the head is **1.1%** of the items and gets **71%** of the places.",
    )  # fmt: skip
