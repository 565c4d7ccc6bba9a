import numpy as np
import pytest
from scipy.special import expit

from headtail.datasets import World, checkerboard, power_law
from headtail.exceptions import InvalidInputError


class TestCheckerboard:
    @pytest.mark.parametrize(("n_users", "n_items"), [(50, 50), (7, 12), (20, 6)])
    def test_everything_of_the_own_color_once(self, n_users, n_items):
        split = checkerboard(n_users, n_items, validation=True)
        together = sum(part.matrix.toarray() for part in split.parts.values())
        board = (np.arange(n_users)[:, None] + np.arange(n_items)) % 2 == 0
        assert np.array_equal(together, board)
        assert np.array_equal(split.test.items, np.arange(n_users) % n_items)
        assert np.array_equal(split.validation.items, (np.arange(n_users) + 2) % n_items)

    def test_without_validation(self):
        split = checkerboard(4, 6)
        assert split.validation is None
        assert len(split.train) == 4 * 2

    @pytest.mark.parametrize(
        ("sizes", "message"), [((4, 7), "n_items=7 is odd"), ((4, 4), "n_items=4"), ((1, 6), "n_users=1")]
    )
    def test_bad_sizes(self, sizes, message):
        with pytest.raises(InvalidInputError, match=message):
            checkerboard(*sizes)


class TestPowerLaw:
    @pytest.mark.parametrize("exponent", [0.7, 1.0, 2.0, 4.0])
    def test_popularity_follows_the_law_exactly(self, exponent):
        world = power_law(400, 300, exponent=exponent, rng=0)
        expected = np.floor(200 * np.arange(1, 301) ** -exponent + 0.5)
        assert np.array_equal(np.sort(world.interactions.popularity)[::-1], expected)

    def test_number_of_interactions(self):
        world = power_law(2000, 500, n_interactions=20_000, rng=0)
        assert abs(len(world.interactions) - 20_000) < 250  # rounding, at most one half an item

    def test_everyone_may_meet_the_first_item(self):
        world = power_law(100, 50, n_interactions=int(100 * (np.arange(1, 51) ** -2.0).sum()), exponent=2.0, rng=0)
        assert world.interactions.popularity.max() >= 99

    def test_pairs_are_different(self):
        world = power_law(300, 200, n_interactions=4000, rng=0)
        assert (np.diff(world.interactions.sorted_pairs) > 0).all()

    def test_same_seed_same_world(self):
        one, again, other = (power_law(200, 100, rng=seed) for seed in (0, np.random.default_rng(0), 1))
        assert one.interactions.to_polars().equals(again.interactions.to_polars())
        assert np.array_equal(one.queries, again.queries)
        assert not one.interactions.to_polars().equals(other.interactions.to_polars())

    def test_codes_do_not_tell_the_popularity(self):
        popularity = power_law(500, 400, rng=0).interactions.popularity
        assert abs(np.corrcoef(np.arange(400), popularity)[0, 1]) < 0.2

    @pytest.mark.parametrize("offset", [-2.0, 1.0])
    def test_preferences(self, offset):
        world = power_law(60, 40, embedding_dim=5, offset=offset, rng=0)
        assert world.queries.shape == (60, 5)
        assert world.items.shape == (40, 5)
        logits = world.queries.astype(float) @ world.items.T.astype(float) + offset
        assert world.preferences() == pytest.approx(expit(logits), abs=1e-6)
        assert np.array_equal(world.preferences(np.array([7, 3])), world.preferences()[[7, 3]])
        assert world.preferences().dtype == np.float32

    def test_spread_of_tastes(self):
        world = power_law(800, 800, embedding_dim=16, taste=1.5, rng=0)
        assert (world.queries @ world.items.T).std() == pytest.approx(1.5, rel=0.1)
        assert np.ptp(power_law(50, 50, taste=0, rng=0).preferences()) == 0

    @pytest.mark.parametrize("offset", [-2.0, -1.0])
    def test_users_are_drawn_by_preference_and_activity(self, offset):
        # For a rare item among equally active users, drawing is nearly in proportion to the preferences: the mean
        # preference of those drawn is the mean of the squares over the mean.
        world = power_law(3000, 400, n_interactions=12_000, exponent=0.3, activity=0, offset=offset, rng=0)
        liking = world.preferences()
        seen = liking[world.interactions.users, world.interactions.items]
        rare = world.interactions.popularity < 60
        expected = (np.square(liking).mean(axis=0) / liking.mean(axis=0))[world.interactions.items]
        of_rare = rare[world.interactions.items]
        assert seen[of_rare].mean() == pytest.approx(expected[of_rare].mean(), rel=0.03)
        assert seen[~of_rare].mean() > 1.2 * liking.mean()

    def test_activity(self):
        equal, varied = (power_law(1000, 500, activity=a, taste=0, rng=0).interactions.activity for a in (0, 1.0))
        assert varied.std() > 2 * equal.std()

    def test_both_ways_of_drawing_agree(self):
        # Two items, one of them drawn by weighing all users (above 5%), one by rejection, of the same preferences.
        world = power_law(2000, 60, exponent=0.01, n_interactions=60 * 100, activity=0.5, taste=2, rng=0)
        other = power_law(2000, 60, exponent=0.01, n_interactions=60 * 95, activity=0.5, taste=2, rng=0)
        assert world.interactions.popularity.max() > 100 >= other.interactions.popularity.max()

        def mean_liking(w):
            return w.preferences()[w.interactions.users, w.interactions.items].mean()

        assert mean_liking(world) == pytest.approx(mean_liking(other), rel=0.05)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"exponent": 0}, "exponent=0 is out of range"),
            ({"exponent": float("nan")}, "exponent=nan"),
            ({"taste": -1}, "taste=-1"),
            ({"activity": float("inf")}, "activity=inf"),
            ({"offset": -20}, "offset=-20"),
            ({"embedding_dim": 0}, "embedding_dim=0"),
            ({"n_users": 1}, "n_users=1"),
            ({"n_interactions": 0}, "n_interactions=0"),
            ({"n_users": 10, "n_items": 10, "n_interactions": 99}, r"more than the 10 users. Give at most"),
        ],
    )
    def test_bad_arguments(self, arguments, message):
        with pytest.raises(InvalidInputError, match=message):
            power_law(**arguments)


def test_a_world_says_what_it_holds():
    world = power_law(1000, 200, rng=0)
    assert isinstance(world, World)
    assert repr(world) == f"World({world.interactions!r}, 8 tastes)"
