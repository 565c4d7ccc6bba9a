"""Pictures of neurons: an overview, and a portrait of each."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from headtail._checks import shown
from headtail.exceptions import MissingColumnError
from headtail.reports import Block, Chart, Column, Figure, Figures, Report, Section, Table, Text
from headtail.sae.table import NeuronTable
from headtail.typing import Array, Floats

_BINS = 40
_POINTS = 1000  # of a scatter of neurons
_ITEMS, _USERS = 8, 5  # shown in a card
PRIOR = 5.0  # users that an item's mean activation is drawn to the overall mean by

_D = "How much more users of popular tastes drive the neuron than users of niche tastes, in standard deviations."
_RATE = "Share of the real users for whom the neuron is among the active ones."
_EFFECT = (
    "Mean change of log popularity of the recommendations when this neuron's pre-activation rises by one standard "
    "deviation; 0.1 means items about 10% more popular."
)
_OTHER_WAY = (
    "What a push does to the popularity of lists is not what the neuron listens to: it is no lever on popularity, "
    "and is not steered when neurons are chosen by their effect."
)
_CHANGED = "Share of the recommendations that the same push replaces."


def page(neurons: NeuronTable, cards: int) -> Report:
    """Return the overview of a table of neurons, and the cards of the strongest of both signs."""
    strongest = [int(i) for sign in (1, -1) for i in _strongest(neurons, sign)[:cards]]
    blocks: list[Block] = [_figures(neurons), *_overview(neurons), _table(neurons)]
    if strongest:
        blocks.append(Section("Neuron cards", [card(neurons, i) for i in strongest]))
    surely = [int(found.sum()) for found in (neurons.low > 0, neurons.high < 0)]
    lede = (
        f"**{surely[0]:,} of {len(neurons):,} neurons answer to popular tastes and {surely[1]:,} to niche ones** by "
        f"more than chance (95%, bootstrap over users). Steering holds the first down and pushes the others up; the "
        f"model itself stays as it is."
    )
    return Report("Neurons between popular and niche tastes", blocks, lede)


def _strongest(neurons: NeuronTable, sign: int) -> Array:
    places = np.flatnonzero(neurons.cohens_d * sign > 0)
    ordered: Array = neurons.index[places[np.argsort(-np.abs(neurons.cohens_d[places]), kind="stable")]]
    return ordered


def _figures(neurons: NeuronTable) -> Figures:
    d = neurons.cohens_d
    figures = [
        Figure("Popularity neurons", int((d > 0).sum()), format=",d", note="Neurons with Cohen's d above 0."),
        Figure("Niche neurons", int((d < 0).sum()), format=",d", note="Neurons with Cohen's d below 0."),
        Figure("|d| above 0.8", float((np.abs(d) > 0.8).mean()), format=".1%", note=_D),
        Figure(
            "Told apart from 0", float(((neurons.low > 0) | (neurons.high < 0)).mean()), format=".1%",
            note="Share of neurons whose interval of d leaves out 0.",
        ),
        Figure("Firing rate, median", float(np.median(neurons.firing_rate)), format=".2%", note=_RATE),
        Figure("Never fire", int((neurons.firing_rate == 0).sum()), format=",d", note="For any real user."),
    ]  # fmt: skip
    if (known := ~np.isnan(neurons.effect) & (neurons.firing_rate > 0)).any():
        share = float((~neurons.agrees[known]).mean())
        figures.append(
            Figure("Push the other way", share, format=".1%", note=f"Share of those that fire. {_OTHER_WAY}")
        )
    return Figures(figures)


def _overview(neurons: NeuronTable) -> list[Block]:
    known = np.flatnonzero(~np.isnan(neurons.cohens_d))
    some = _drawn(known[np.argsort(-np.abs(neurons.cohens_d[known]), kind="stable")])
    kinds = np.where(neurons.cohens_d > 0, "popularity", "niche")
    points = [
        {"d": float(neurons.cohens_d[i]), "rate": float(neurons.firing_rate[i]), "kind": str(kinds[i])} for i in some
    ]
    blocks: list[Block] = [
        Chart(
            "scatter", points, x="d", y="rate", color="kind", title="Neurons by Cohen's d and firing rate",
            x_label="Cohen's d (right: popular tastes)", y_label="firing rate", y_format=".0%",
            caption="" if len(some) == len(known) else f"The strongest {_POINTS // 2} neurons, and some of the others.",
        ),
        Chart(
            "line", _histogram({"neurons": neurons.cohens_d[known]}, share=False), x="x", y="y",
            title="How many neurons have which d", x_label="Cohen's d", y_label="neurons",
        ),
    ]  # fmt: skip
    measured = some[~np.isnan(neurons.effect[some])]
    if len(measured):
        effects = [
            {"d": float(neurons.cohens_d[i]), "effect": float(neurons.effect[i]), "kind": str(kinds[i])}
            for i in measured
        ]
        blocks.append(
            Chart(
                "scatter", effects, x="d", y="effect", color="kind", title="What d says and what a push does",
                x_label="Cohen's d", y_label="change of log popularity", reference=0.0, caption=_EFFECT,
            )
        )  # fmt: skip
    return blocks


def _drawn(ordered: Array) -> Array:
    """Return as many neurons as a chart can hold: the strongest, and others evenly spaced."""
    strongest, others = np.split(ordered, [_POINTS // 2])
    return np.concatenate([strongest, others[:: max(1, -(-len(others) // (_POINTS // 2)))]])


def _table(neurons: NeuronTable) -> Table:
    wanted = [set(_strongest(neurons, sign)[:10].tolist()) for sign in (1, -1)]
    rows = [row for row in neurons.rows() if row["neuron"] in wanted[0] | wanted[1]]
    rows.sort(key=lambda row: -row["cohens_d"])
    columns = [
        Column("neuron", "Neuron", format="d"),
        Column("cohens_d", "Cohen's d", format=".2f", note=_D, low="low", high="high"),
        Column("firing_rate", "Firing rate", format=".2%", note=_RATE),
        Column("mean_activation", "Mean activation", format=".4f", note="Of the users for whom the neuron fires."),
        Column(
            "correlation", "Correlation", format=".2f",
            note="Of users' pre-activations with the mean log popularity of what is recommended to them.",
        ),
        Column("effect", "Effect", format="+.4f", note=_EFFECT),
        Column("changed", "Changed", format=".2%", note=_CHANGED),
    ]  # fmt: skip
    if np.isnan(neurons.effect).all():
        columns = columns[:-2]
    return Table(columns, rows, title="The strongest popularity and niche neurons")


@torch.no_grad()
def card(neurons: NeuronTable, neuron: int) -> Section:
    """Return the portrait of one neuron."""
    places = np.flatnonzero(neurons.index == neuron)
    if not len(places):
        raise MissingColumnError(f"neuron {neuron!r} is not in this table; there are {shown(neurons.index)}.")
    place, source = places[0], neurons.source
    d = neurons.cohens_d[place]
    figures = [
        Figure("Cohen's d", d, neurons.low[place], neurons.high[place], format=".2f", note=_D),
        Figure("Firing rate", neurons.firing_rate[place], format=".2%", note=_RATE),
        Figure("Correlation", neurons.correlation[place], format=".2f"),
        Figure("Effect", neurons.effect[place], format="+.4f", note=_EFFECT),
    ]
    contrast = source.contrast
    popular, niche, everyone = (
        ("popular tastes", "niche tastes", "real users")
        if contrast.item_codes is None
        else ("popular items", "niche items", "all items")
    )
    pre = {
        name: np.concatenate([source.sae.pre_activations(x)[:, neuron].cpu().numpy() for _, x in source.blocks(side)])
        for name, side in (
            (popular, contrast.popular),
            (niche, contrast.niche),
            (everyone, contrast.real),
        )
    }
    blocks: list[Block] = [
        Figures(figures),
        Chart(
            "line", _histogram(pre), x="x", y="y", color="series", title="Pre-activation",
            x_label="pre-activation", y_label="share", y_format=".0%",
        ),
    ]  # fmt: skip
    if not (np.isnan(neurons.effect[place]) or neurons.agrees[place]):
        blocks.insert(1, Text(_OTHER_WAY))
    if source.interactions is not None and contrast.users is not None:
        blocks.append(_who(neurons, neuron))
    if source.interactions is not None and contrast.item_codes is not None:
        blocks.append(_loudest(neurons, neuron, contrast.item_codes))
    if source.interactions is not None and contrast.items is not None:
        blocks += _logits(neurons, neuron, contrast.items)
    return Section(f"Neuron {neuron} ({'popularity' if d > 0 else 'niche'})", blocks)


def _histogram(groups: dict[str, Floats], *, share: bool = True) -> list[dict[str, Any]]:
    everything = np.concatenate(list(groups.values())).astype(np.float64)
    low, high = (
        np.quantile(everything, [0.001, 0.999]) if len(everything) > 1000 else (everything.min(), everything.max())
    )
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    rows = []
    for name, values in groups.items():
        counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
        heights = counts / len(values) if share else counts
        middles = (edges[:-1] + edges[1:]) / 2
        rows += [{"series": name, "x": float(x), "y": float(y)} for x, y in zip(middles, heights, strict=True)]
    return rows


def _activity(neurons: NeuronTable, neuron: int) -> Floats:
    """Return the activation of the neuron for each real user, or item, (U,)."""
    source = neurons.source
    parts = []
    for _, x in source.blocks(source.contrast.real):
        values, active = source.sae.encode(x)
        parts.append((values * (active == neuron)).sum(dim=-1).cpu().double().numpy())
    return np.concatenate(parts)


def _who(neurons: NeuronTable, neuron: int) -> Table:
    """Return the items whose users drive the neuron most, and the users themselves."""
    interactions, users = neurons.source.interactions, neurons.source.contrast.users
    assert interactions is not None and users is not None
    active = _activity(neurons, neuron)
    matrix = interactions.matrix[users]
    met = np.asarray(matrix.sum(axis=0)).ravel()
    mean = (matrix.T @ active + PRIOR * active.mean()) / (met + PRIOR)
    best = np.argsort(-mean, kind="stable")[:_ITEMS]
    rows = [
        {"item": _title(neurons, i), "popularity": int(interactions.popularity[i]), "mean": float(mean[i])}
        for i in best
    ]
    loudest = np.argsort(-active, kind="stable")[:_USERS]
    loudest = loudest[active[loudest] > 0]
    named = ", ".join(f"{interactions.user_ids[users[u]]} ({active[u]:.2f})" for u in loudest)
    columns = [
        Column("item", "Item"),
        Column("popularity", "Popularity", format=",d"),
        Column(
            "mean", "Mean activation", format=".4f",
            note=f"Of the users who met the item, drawn to the mean of all users by {PRIOR:.0f} users.",
        ),
    ]  # fmt: skip
    caption = f"The users who drive it most, with their activation: {named}." if named else "It fires for no real user."
    return Table(columns, rows, title="Items of the users who drive it", caption=caption)


def _loudest(neurons: NeuronTable, neuron: int, codes: Array) -> Table:
    """Return the items that drive a neuron of item vectors most."""
    interactions = neurons.source.interactions
    assert interactions is not None
    active = _activity(neurons, neuron)
    best = np.argsort(-active, kind="stable")[:_ITEMS]
    rows = [
        {"item": _title(neurons, i), "popularity": int(interactions.popularity[i]), "activation": float(active[at])}
        for at, i in zip(best, codes[best], strict=True)
        if active[at] > 0
    ]
    columns = [Column("item", "Item"), Column("popularity", "Popularity", format=",d")]
    return Table([*columns, Column("activation", "Activation", format=".4f")], rows, title="Items that drive it")


def _logits(neurons: NeuronTable, neuron: int, items: Tensor) -> list[Block]:
    """Return what one unit of the neuron adds to the score of each item."""
    interactions = neurons.source.interactions
    assert interactions is not None
    effect = (items.to(neurons.source.sae.decoder) @ neurons.source.sae.decoder[neuron]).cpu().double().numpy()
    popularity = interactions.popularity
    known = np.flatnonzero(popularity)
    order = known[np.argsort(-effect[known], kind="stable")]
    rows = [
        {"up": _title(neurons, a), "plus": float(effect[a]), "down": _title(neurons, b), "minus": float(effect[b])}
        for a, b in zip(order[:_ITEMS], order[::-1][:_ITEMS], strict=True)
    ]
    some = known[np.argsort(popularity[known], kind="stable")][:: max(1, -(-len(known) // 300))]
    points = [{"popularity": int(popularity[i]), "effect": float(effect[i])} for i in some]
    columns = [
        Column("up", "Raises most"),
        Column("plus", "by", format="+.3f"),
        Column("down", "Lowers most"),
        Column("minus", "by ", format="+.3f"),
    ]
    return [
        Chart(
            "scatter", points, x="popularity", y="effect", x_scale="log", reference=0.0, title="What it adds to scores",
            x_label="popularity of the item", y_label="added to the score by one unit",
        ),
        Table(columns, rows, title="Direct effect on scores"),
    ]  # fmt: skip


def _title(neurons: NeuronTable, item: int) -> str:
    interactions = neurons.source.interactions
    assert interactions is not None
    return str(interactions.item_labels[item])
