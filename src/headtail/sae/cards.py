"""Pictures of neurons: an overview, and a portrait of each."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from headtail._factors import to_numpy
from headtail.reports import Block, Chart, Column, Figure, Figures, Report, Section, Table, Text
from headtail.reports._markdown import plain
from headtail.sae.portraits import PRIOR, TELLS, WAYS, Portraits, portraits
from headtail.sae.table import NeuronTable, Source
from headtail.typing import Array, Floats

_BINS = 40
_POINTS = 1000  # of a scatter of neurons

_D = "How much more users of popular tastes drive the neuron than users of niche tastes, in standard deviations."
_RATE = "Share of the real users for whom the neuron is among the active ones."
_EFFECT = (
    "Mean change of log popularity of the recommendations when this neuron's pre-activation rises by one standard "
    "deviation; 0.1 means items about 10% more popular."
)
_NO_LEVER = "it is no lever on popularity, and is not steered when neurons are chosen by their effect."
_WARNINGS = {
    -1: f"What a push does to the popularity of lists is not what the neuron listens to: {_NO_LEVER}",
    0: f"A push leaves the popularity of all lists as it is: {_NO_LEVER}",
}
_UNMEASURED = "What a push does to the popularity of lists was not measured (with_effects)."
_CHANGED = "Share of the recommendations that the same push replaces."


def page(neurons: NeuronTable, cards: int) -> Report:
    """Return the overview of a table of neurons, and the cards of the strongest of both signs."""
    title, silent = "Neurons between popular and niche tastes", int((neurons.firing_rate == 0).sum())
    if silent == len(neurons):
        return Report(title, [], f"**None of {len(neurons):,} neurons fires for a real user.**")
    fire = neurons.select()
    strongest = [int(i) for sign in (1, -1) for i in fire.index[fire.cohens_d * sign > 0][:cards]]
    blocks: list[Block] = [_figures(fire, silent), *_overview(fire), _table(fire)]
    if strongest:
        blocks.append(Section("Neuron cards", [replace(card(fire, i), folded=i != strongest[0]) for i in strongest]))
    surely = [int(found.sum()) for found in (fire.low > 0, fire.high < 0)]
    lede = (
        f"**Of {len(fire):,} neurons that fire, {surely[0]:,} answer to popular tastes and {surely[1]:,} to niche "
        f"ones** by more than chance (95%, bootstrap over users). Steering holds the first down and pushes the others "
        f"up; the model itself stays as it is."
    )
    return Report(title, blocks, lede)


def _figures(neurons: NeuronTable, silent: int) -> Figures:
    d = neurons.cohens_d
    figures = [
        Figure("Lean to popular tastes", int((d > 0).sum()), format=",d", note="Cohen's d above 0, be it by chance."),
        Figure("Lean to niche tastes", int((d < 0).sum()), format=",d", note="Cohen's d below 0, be it by chance."),
        Figure("|d| above 0.8", float((np.abs(d) > 0.8).mean()), format=".1%", note=_D),
        Figure(
            "Told apart from 0", float(((neurons.low > 0) | (neurons.high < 0)).mean()), format=".1%",
            note="Share of neurons whose interval of d leaves out 0.",
        ),
        Figure("Firing rate, median", float(np.median(neurons.firing_rate)), format=".2%", note=_RATE),
        Figure("Never fire", silent, format=",d", note="For any real user; they are left out of this page."),
    ]  # fmt: skip
    if (known := ~np.isnan(neurons.way)).any():
        share = float((neurons.way[known] < 0).mean())
        figures.append(Figure("Push the other way", share, format=".1%", note=_WARNINGS[-1]))
    return Figures(figures)


def _overview(neurons: NeuronTable) -> list[Block]:
    some = _drawn(np.arange(len(neurons)))

    def points(places: Array, key: str, values: Floats) -> list[dict[str, Any]]:
        kinds = np.where(neurons.cohens_d > 0, "popularity", "niche")
        return [{"d": float(neurons.cohens_d[i]), key: float(values[i]), "kind": str(kinds[i])} for i in places]

    blocks: list[Block] = [
        Chart(
            "scatter", points(some, "rate", neurons.firing_rate), x="d", y="rate", color="kind",
            title="Neurons by Cohen's d and firing rate",
            x_label="Cohen's d (right: popular tastes)", y_label="firing rate", y_format=".0%",
            caption=_D if len(some) == len(neurons) else f"{_D} The strongest {_POINTS // 2} and some of the others.",
        ),
        Chart(
            "line", _histogram({"neurons": neurons.cohens_d}, share=False), x="x", y="y",
            title="How many neurons have which d", x_label="Cohen's d", y_label="neurons",
        ),
    ]  # fmt: skip
    measured = some[~np.isnan(neurons.effect[some])]
    if len(measured):
        blocks.append(
            Chart(
                "scatter", points(measured, "effect", neurons.effect), x="d", y="effect", color="kind",
                title="What d says and what a push does",
                x_label="Cohen's d", y_label="change of log popularity", reference=0.0, caption=_EFFECT,
            )
        )  # fmt: skip
    return blocks


def _drawn(ordered: Array) -> Array:
    """Return as many neurons as a chart can hold: the strongest, and others evenly spaced."""
    strongest, others = np.split(ordered, [_POINTS // 2])
    return np.concatenate([strongest, others[:: max(1, -(-len(others) // (_POINTS // 2)))]])


def _table(neurons: NeuronTable) -> Table:
    rows = [r | {"pushes": WAYS.get(way, "")} for r, way in zip(neurons.rows(), neurons.way, strict=True)]
    sides = [[row for row in rows if row["cohens_d"] * sign > 0][:10] for sign in (1, -1)]
    rows = sides[0] + sides[1][::-1]
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
        Column("pushes", "Pushes", note=_WARNINGS[-1]),
        Column("changed", "Changed", format=".2%", note=_CHANGED),
    ]  # fmt: skip
    unknown = [name for name in ("correlation", "effect") if np.isnan(getattr(neurons, name)).all()]
    unknown += ["pushes", "changed"] * ("effect" in unknown)
    columns = [column for column in columns if column.key not in unknown]
    return Table(columns, rows, title="The strongest popularity and niche neurons")


@torch.no_grad()
def card(neurons: NeuronTable, neuron: int) -> Section:
    """Return the portrait of one neuron."""
    place, source = neurons._place(neuron), neurons.source
    d = neurons.cohens_d[place]
    figures = [
        Figure("Cohen's d", d, neurons.low[place], neurons.high[place], format=".2f", note=_D),
        Figure("Firing rate", neurons.firing_rate[place], format=".2%", note=_RATE),
    ]
    if not np.isnan(neurons.correlation[place]):
        figures.append(Figure("Correlation", neurons.correlation[place], format=".2f"))
    if not np.isnan(neurons.effect[place]):
        figures.append(Figure("Effect", neurons.effect[place], format="+.4f", note=_EFFECT))
    contrast = source.contrast
    popular, niche, everyone = (
        ("popular tastes", "niche tastes", "real users")
        if contrast.item_codes is None
        else ("popular items", "niche items", "all items")
    )
    sides = ((popular, contrast.popular), (niche, contrast.niche), (everyone, contrast.real))
    pre = {
        name: np.concatenate([to_numpy(source.sae.pre_activations(x)[:, neuron]) for x in source.blocks(side)])
        for name, side in sides
    }
    blocks: list[Block] = [
        Figures(figures),
        Chart(
            "line", _histogram(pre), x="x", y="y", color="series", title="Pre-activation",
            x_label="pre-activation", y_label="share", y_format=".0%",
        ),
    ]  # fmt: skip
    way = neurons.way[place]
    if warning := _UNMEASURED if np.isnan(way) else _WARNINGS.get(int(way)):
        blocks.insert(1, Text(warning))
    tags = list(filter(None, neurons.tags[place].split("|")))
    if tags:
        blocks.insert(1, Text(f"{TELLS}: {', '.join(map(plain, tags))}."))
    if source.interactions is not None:
        blocks += _portrait(portraits(neurons._at(np.array([place]))))
        if contrast.items is not None:
            blocks.append(_scatter(source, neuron, contrast.items))
    said = ["popularity" if d > 0 else "niche", *tags]
    return Section(f"Neuron {neuron} ({', '.join(said)})", blocks)


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


def _portrait(found: Portraits) -> list[Block]:
    """Return what a neuron listens to, and what it does."""
    (said,) = found.to_dict()["neurons"]
    of_items = found.neurons.source.contrast.item_codes is not None
    blocks: list[Block] = []
    if found.hears.shape[1]:
        users = [f"{plain(str(one['user']))} ({one['activation']:.2f})" for one in said["drivers"]]
        caption = f"The users who drive it most, with their activation: {', '.join(users)}."
        silent = "" if of_items else "It fires for no real user."
        note = f"Of the users who met the item, drawn to the mean of all users by {PRIOR:.0f} users."
        columns = [
            Column("title", "Item"),
            Column("popularity", "Popularity", format=",d"),
            Column("by", "Activation" if of_items else "Mean activation", format=".4f", note=note * (not of_items)),
        ]
        title = "Items that drive it" if of_items else "Items of the users who drive it"
        blocks.append(Table(columns, said["hears"], title=title, caption=caption if users else silent))
    if found.raises.shape[1]:
        rows = [
            {"up": up["title"], "plus": up["by"], "down": down["title"], "minus": down["by"]}
            for up, down in zip(said["raises"], said["lowers"], strict=True)
        ]
        columns = [
            Column("up", "Raises most"),
            Column("plus", "by", format="+.3f"),
            Column("down", "Lowers most"),
            Column("minus", "by ", format="+.3f"),
        ]
        blocks.append(Table(columns, rows, title="Direct effect on scores"))
    near = ", ".join(f"{one['neuron']} ({one['cosine']:.2f})" for one in said["neighbors"])
    return [*blocks, Text(f"Nearest neurons, with the cosines of their directions: {near}.")] if near else blocks


def _scatter(source: Source, neuron: int, items: Tensor) -> Chart:
    """Return what one unit of the neuron adds to the score of items, by their popularity."""
    effect = (items.to(source.sae.decoder) @ source.sae.decoder[neuron]).cpu().double().numpy()
    popularity = source.known.popularity
    known = np.flatnonzero(popularity)
    some = known[np.argsort(popularity[known], kind="stable")][:: max(1, -(-len(known) // 300))]
    points = [{"popularity": int(popularity[i]), "effect": float(effect[i])} for i in some]
    return Chart(
        "scatter", points, x="popularity", y="effect", x_scale="log", reference=0.0, title="What it adds to scores",
        x_label="popularity of the item", y_label="added to the score by one unit",
    )  # fmt: skip
