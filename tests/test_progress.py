"""A forecast is within a factor of two of what is left, or not shown."""

from types import SimpleNamespace

import pytest

import headtail as ht
from headtail._progress import Forecast, progress_bar
from headtail.dials import dial
from headtail.training import running

# Seconds of settings of `correct` on MovieTweetings: the first two of a dial, the median of the others, and how many.
OF_VECTORS = {
    "allocation": (1.41, 25.98, 1.52, 8),
    "allocation, nobody loses 10%": (0.60, 1.29, 1.27, 9),
    "allocation, most hits": (0.71, 3.10, 2.82, 8),
    "tilt (alpha-fair)": (0.56, 5.98, 6.69, 8),
    "tilt (entropy)": (0.55, 3.67, 5.75, 8),
    "tilt (popularity)": (0.61, 4.65, 7.89, 7),
    "log penalty": (0.77, 1.20, 1.26, 8),
    "IPR": (0.83, 4.22, 0.62, 8),
    "calibrated popularity": (0.75, 1.66, 1.64, 9),
    "shrink": (0.69, 0.94, 0.77, 9),
}
OF_LISTS = {
    "allocation": (3.11, 34.89, 1.22, 9),
    "allocation, most hits": (0.20, 2.48, 2.37, 8),
    "tilt (entropy)": (0.19, 1.30, 2.76, 8),
    "log penalty": (0.17, 0.63, 0.83, 8),
    "xQuAD": (0.20, 0.82, 0.92, 9),
    "P-MMF": (0.20, 1.57, 1.34, 5),
}


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(("took", "form"), [(OF_VECTORS, "vectors"), (OF_LISTS, "lists")])
def test_the_forecast_of_a_correction_is_right_within_a_factor_of_two(took, form):
    train = SimpleNamespace(n_users=4333, n_items=2414)
    subject = SimpleNamespace(split=SimpleNamespace(train=train), codes=None, has=lambda what: what == form)
    clock = Clock()
    steps = {name: [zero, first, *[others] * n] for name, (zero, first, others, n) in took.items()}
    total = sum(map(sum, steps.values()))
    forecast = Forecast({name: (len(dial(name).grid) + 2, dial(name).cost_on(subject)) for name in took}, clock)
    for name, seconds in steps.items():
        forecast.begin(name)
        for i, each in enumerate(seconds):
            clock.now += each
            forecast.step()
            if name == "allocation" and i < 2:
                assert forecast.seconds() is None  # the second one has learned what others use, too
            elif (left := total - clock.now) > 5:
                assert 0.5 < forecast.seconds() / left < 2


def test_a_forecast_goes_down_while_a_step_takes_its_time_but_not_below_nothing():
    clock = Clock()
    forecast = Forecast({"one": (5, 1.0)}, clock)
    for clock.now in (1.0, 5.0, 8.0):
        forecast.step()
    assert forecast.seconds() == 6
    clock.now = 9.0
    assert forecast.seconds() == 5
    clock.now = 90.0
    assert forecast.seconds() == 0


def test_a_bar_shows_the_forecast_of_unlike_steps(capsys, monkeypatch):
    monkeypatch.setattr(Forecast, "seconds", lambda forecast: 3723.0)
    with progress_bar("correct", 9, show=True, forecast=Forecast({"one": (9, 1.0)})) as advance:
        advance(1, "begun")
    assert "1:02:03" in capsys.readouterr().err


def test_what_may_stop_early_takes_less(capsys, monkeypatch):
    monkeypatch.setattr(Forecast, "seconds", lambda forecast: 3723.0)
    with progress_bar("training", 9, show=True, forecast=Forecast({"one": (9, 1.0)}), at_most=True) as advance:
        advance(1, "begun")
    assert "< 1:02:03" in capsys.readouterr().err
    asked, split = [], ht.split_ratio(ht.datasets.power_law(60, 20, n_interactions=250, rng=0).interactions, rng=0)
    monkeypatch.setattr(
        running, "progress_bar", lambda *args, at_most, **options: asked.append(at_most) or progress_bar(*args)
    )
    for options in ({}, {"validation": split.validation, "patience": 1}):
        ht.fit(ht.MF.for_data(split.train, embedding_dim=2), split.train, epochs=2, progress=False, **options)
    assert asked == [False, True]


def test_a_sweep_and_a_correction_note_every_setting(monkeypatch):
    noted = []
    monkeypatch.setattr(Forecast, "step", lambda forecast: noted.append(forecast._part))
    split = ht.split_ratio(ht.datasets.power_law(300, 80, n_interactions=2500, rng=0).interactions, rng=0)
    lists = ht.baselines.most_popular(split.train, k=40)
    ht.correct(lists, split, dials=["IPR", "FA*IR"], k=5, refine=0, extend=0, progress=True, n_bootstrap=0)
    assert [*dict.fromkeys(noted)] == ["IPR", "FA*IR"]
