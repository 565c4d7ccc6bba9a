"""The explorer in a real Chromium: every control, wide and narrow, light and dark; run by `make test-browser`."""

import base64
import json
import os
import re
import shlex
import shutil
import zlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: run `make test-browser`")
pytest.importorskip("torch")

import headtail as ht  # noqa: E402
from headtail.cli import main  # noqa: E402
from headtail.correction import correct  # noqa: E402
from headtail.dials import Dial, dial  # noqa: E402
from headtail.exploring import Witness  # noqa: E402
from headtail.joining import subject_of  # noqa: E402
from headtail.metrics.built_in import HEADLINES  # noqa: E402
from headtail.metrics.facts import better  # noqa: E402
from headtail.reports import Column, Report, Section, Table  # noqa: E402
from headtail.reports._html import source  # noqa: E402
from headtail.reports._values import jsonable, minus, show  # noqa: E402
from headtail.reports.explorer import Explorer  # noqa: E402
from headtail.subjects import Subject  # noqa: E402
from headtail.tradeoffs import sweep  # noqa: E402

HOSTILE = """</script><script>alert(1)</script><img src=x onerror=alert(1)> & "' \u2028 \u202e \0"""
SITE = Path(__file__).parents[2] / "docs" / "_build"  # by `make docs`
PAGES = ("index", "journeys", "explain", "which-dial", "generated/metrics", "generated/dials", "generated/headtail.sae")
TABS = ("lists", "tradeoff", "items", "neurons", "spectrum")
VIEWS = [(width, scheme) for width in (1400, 420) for scheme in ("light", "dark")]


@pytest.fixture(scope="module")
def explored(tmp_path_factory):
    """A page of two dials, with neurons and a spectrum, of items whose titles are hostile; and its data."""
    world = ht.datasets.power_law(300, 90, n_interactions=3500, exponent=0.5, rng=0).interactions
    titles = {int(i): f"film {i} {HOSTILE if i % 7 == 0 else ''}" for i in world.item_ids}
    split = ht.split_ratio(world.with_titles(titles), rng=0)
    model = ht.MF(300, 90, 8, rng=0)
    ht.fit(model, split.train, epochs=5, rng=0, progress=False)
    small = {"expansion": 4, "n_active": 4, "batch_size": 128, "epochs": 3}
    subject = Subject(model, split, k=10, autoencoder=small)
    found = correct(subject, split, dials=["log penalty", "PopSteer"], refine=0, extend=0, progress=False)
    data, folder = found.explore(), tmp_path_factory.mktemp("explorer")
    found.to_html(folder / "report.html")
    found.comparison.audits["corrected"].to_html(folder / "audit.html")
    subject.neurons(0).to_html(folder / "neurons.html")
    return data.to_html(folder / "page.html"), data.data


@pytest.fixture(scope="module")
def browser():
    own = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_api.sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=own, args=["--no-sandbox"])
        except sync_api.Error as error:
            pytest.skip(f"no Chromium could be started; name one with CHROMIUM=/path: {error}")
        yield started
        started.close()


@pytest.fixture
def opened(browser, explored):
    """Open the page; at the end nothing may have been said on the console, asked, or loaded."""
    complaints, contexts = [], []

    def opening(width=1400, scheme="light", hash_="", path=explored[0], **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda said: complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: complaints.append(request.url) if request.url[:4] != "file" else None)
        page.goto(f"file://{path}{hash_}")
        page.wait_for_selector("main:not([aria-busy]) [role=tab]")
        return page

    yield opening
    for context in contexts:
        context.close()
    assert complaints == []


def lists_of(packed):
    raw = np.frombuffer(zlib.decompress(base64.b64decode(packed["deflated"])), dtype=np.dtype(packed["type"]))
    return raw.reshape(packed["shape"])


def titles_shown(page):
    return page.locator("#panel-lists ol .hx-told").all_text_contents()


def titles_of(data, setting, user):
    return [data["items"]["titles"][i] for i in lists_of(data["lists"])[setting["row"], user]]


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_every_tab_fits_and_has_no_findings_of_axe(opened, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    page = opened(width, scheme, bypass_csp=True)  # for axe alone, which is put into the page
    for tab in TABS:
        page.click(f"#tab-{tab}")
        if tab in ("items", "neurons"):
            page.locator(f"#panel-{tab} tbody button").nth(2).click()
        if tab == "tradeoff":
            page.click("#panel-tradeoff summary")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("[role=tabpanel]:visible").count() == 1
        found = axe.Axe().run(page).response["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_reports_and_the_site_fit_and_have_no_findings_of_axe(browser, explored, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    reports = [explored[0].with_name(f"{name}.html") for name in ("report", "audit", "neurons")]
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, found = context.new_page(), {}
    for path in [*reports, *(SITE / f"{name}.html" for name in PAGES if SITE.is_dir())]:
        page.goto(f"file://{path}")
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        fits = page.evaluate("document.documentElement.scrollWidth") <= width
        broken = axe.Axe().run(page).response["violations"]
        found[path.name] = [] if fits else ["wider than the window"]
        found[path.name] += [(one["id"], [node["html"] for node in one["nodes"]]) for one in broken]
    context.close()
    assert {name: said for name, said in found.items() if said} == {}


@pytest.mark.parametrize("width", [1400, 420])
def test_every_setting_of_every_dial_shows_its_list(opened, explored, width):
    data = explored[1]
    page, user = opened(width), len(data["users"]["ids"]) // 2
    start = data["settings"][data["chosen"]]
    assert titles_shown(page) == titles_of(data, start, user)
    page.get_by_role("button", name="As it is").click()
    plain = titles_shown(page)
    assert plain == titles_of(data, data["settings"][0], user)
    for name in ("log penalty", "PopSteer"):
        settings = [setting for setting in data["settings"] if setting["dial"] == name]
        if width == 420:
            page.get_by_label("Dial", exact=True).select_option(label=name)
        page.get_by_role("button", name="As it is").click()
        slider = page.get_by_role("slider", name=name)
        slider.focus()
        for i, setting in enumerate(settings):
            assert slider.input_value() == str(i)
            shown = titles_shown(page)
            assert shown == titles_of(data, setting, user)
            entered = page.locator("#panel-lists .hx-entered .hx-told").all_text_contents()
            assert entered == [title for title in shown if title not in plain]
            left = page.locator("#panel-lists section:has(h2:text('left')) .hx-told").all_text_contents()
            assert left == [title for title in plain if title not in shown]
            value = setting["values"][data["accuracy"]][0]
            assert f"{value:.4f}" in page.locator(".hx-figures").inner_text()
            page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="As chosen").click()
    assert titles_shown(page) == titles_of(data, start, user)


def test_from_a_movement_to_the_list_takes_less_than_a_tenth_of_a_second(opened):
    page = opened()
    took = page.evaluate("""async () => {
        const times = [];
        for (const slider of document.querySelectorAll("input[type=range]")) {
            for (let at = 0; at <= Number(slider.max); at += 1) {
                const start = performance.now();
                slider.value = at;
                slider.dispatchEvent(new Event("input"));
                await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
                times.push(performance.now() - start);
            }
        }
        return times;
    }""")
    assert len(took) > 10
    assert np.median(took) < 100


def test_users_are_picked(opened, explored):
    data = explored[1]
    page, start = opened(), len(data["users"]["ids"]) // 2
    setting = data["settings"][data["chosen"]]
    page.get_by_role("button", name="Next user").click()
    assert titles_shown(page) == titles_of(data, setting, start + 1)
    page.get_by_role("button", name="Previous user").click()
    page.get_by_role("button", name="Previous user").click()
    assert titles_shown(page) == titles_of(data, setting, start - 1)
    page.get_by_label("User", exact=True).select_option(label=f"User {data['users']['ids'][3]}")
    assert titles_shown(page) == titles_of(data, setting, 3)
    page.reload()
    page.wait_for_selector("[role=tab]")
    assert titles_shown(page) == titles_of(data, setting, 3), "the address keeps what was picked"


def test_a_title_leads_to_its_item_and_an_item_to_its_users(opened, explored):
    page, data = opened(), explored[1]
    first = page.locator("#panel-lists ol .hx-item").first
    title = first.locator(".hx-told").text_content()
    first.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "tab-items", "what was focused is hidden now"
    detail = page.locator("#panel-items .hx-detail")
    assert detail.locator("h2").text_content() == title
    item, lists = data["items"]["titles"].index(title), lists_of(data["lists"])[data["settings"][data["chosen"]]["row"]]
    users = [data["users"]["ids"][user] for user in np.flatnonzero((lists == item).any(axis=1))]
    assert f"Now shown to {len(users)} users of the {len(data['users']['ids'])} here: {', '.join(users[:20])}" in (
        detail.inner_text()
    )
    detail.get_by_role("button", name=users[1], exact=True).click()
    assert page.locator("#panel-lists select").locator("option:checked").text_content() == f"User {users[1]}"
    assert title in titles_shown(page)


def test_the_dial_that_is_turned_says_what_it_does(opened, explored):
    page, said = opened(), {one["name"]: one["about"] for one in explored[1]["dials"]}
    for name, words in (("log penalty", "logarithm of popularity"), ("PopSteer", "neurons of popular tastes")):
        page.get_by_role("slider", name=name).focus()
        page.keyboard.press("ArrowRight")
        assert page.locator(".hx-does:visible").all_inner_texts() == [said[name]] and words in said[name]


def test_a_printed_list_says_whose_it_is(opened):
    page = opened()
    page.emulate_media(media="print")
    assert page.get_by_label("User", exact=True).is_visible()
    assert not page.get_by_role("button", name="Next user").is_visible()
    assert not page.get_by_role("tablist").is_visible()


def test_a_long_table_that_is_folded_is_not_printed_unless_it_is_opened(browser, tmp_path):
    long, short = (Table([Column("n", "n")], [{"n": f"row {i} of {n}"} for i in range(n)]) for n in (50, 5))
    sections = [Section("Long", [long], folded=True), Section("Short", [short], folded=True)]
    page = browser.new_page()
    page.goto(f"file://{Report('Folded', sections).to_html(tmp_path / 'folded.html')}")
    page.emulate_media(media="print")
    seen = "text => [...document.querySelectorAll('td')].find((one) => one.textContent === text).checkVisibility()"
    assert [page.evaluate(seen, text) for text in ("row 0 of 50", "row 0 of 5")] == [False, True]
    page.evaluate("document.querySelector('details').open = true")
    assert page.evaluate(seen, "row 0 of 50")
    page.close()


def test_an_address_that_names_nothing_here_is_let_be(opened):
    page = opened(hash_="#tab=nowhere&user=-1&setting=9999&item=x&neuron=1.5&direction=%00")
    assert page.get_by_role("tab", name="Lists").get_attribute("aria-selected") == "true"


def test_the_trade_off_answers(opened, explored):
    data = explored[1]
    page = opened(permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("tab", name="Lists").focus()
    page.keyboard.press("End")
    assert page.get_by_role("tab").last.get_attribute("aria-selected") == "true"
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("tab", name="Trade-off").get_attribute("aria-selected") == "true"
    points = page.locator(".hx-point")
    least = 0.75 * data["settings"][0]["values"][data["accuracy"]][0]
    poor = [one for one in data["settings"] if one["values"][data["accuracy"]][0] < least and not one["chosen"]]
    assert poor and points.count() == len(data["settings"]) - len(poor), "they would squeeze all others"
    page.get_by_role("button", name=" of less than 75% of the accuracy").click()
    assert points.count() == len(data["settings"])
    last = points.nth(len(data["settings"]) - 1)
    last.hover()
    setting = data["settings"][-1]
    tip = page.locator(".hx-tip").inner_text()
    assert f"PopSteer {setting['strength']:g}" in tip and f"{setting['values'][data['accuracy']][0]:.4f}" in tip
    last.click()
    assert page.locator(".hx-current").count() == 1
    for kind, part in (
        ("Python", f'dial = ht.dials.dial("PopSteer")\nmade = dial.at(better.subject, {setting["strength"]:g})'),
        ("Command line", f"headtail correct MODEL --dial PopSteer --strength {setting['strength']:g} -o copied"),
        ("JSON", '"dial": "PopSteer"'),
    ):
        page.get_by_role("button", name=f"Copy {kind}").click()
        page.wait_for_function(
            "text => navigator.clipboard.readText().then((copied) => copied.includes(text))", arg=part
        )
    page.get_by_role("button", name="PopSteer", exact=True).first.click()
    assert points.count() == len([setting for setting in data["settings"] if setting["dial"] != "PopSteer"])
    page.get_by_role("button", name="Show all").click()
    assert points.count() == len(data["settings"])
    page.get_by_label("Upright").select_option("recall@10")
    assert (
        page.locator(".hx-plot svg").get_attribute("aria-label").startswith("Share of the wanted items found against ")
    )
    page.click("#panel-tradeoff summary")
    page.get_by_role("button", name="ndcg@10", exact=True).click()
    cells = page.locator("#panel-tradeoff tbody tr td:nth-child(4)").all_text_contents()
    assert [float(cell) for cell in cells] == sorted([float(cell) for cell in cells], reverse=True)
    page.locator("#panel-tradeoff tbody button").first.click()
    assert page.locator("#panel-tradeoff tbody tr.hx-picked").count() == 1


def split_into_files(folder):
    """Write long lists with scores, and what users did before, later and after that; return how they are given."""
    split = ht.split_ratio(ht.datasets.power_law(150, 80, n_interactions=1400, rng=0).interactions, rng=0)
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(150, split.train.n_items)) + np.log1p(split.train.popularity)
    lists = ht.Recommendations.from_scores(
        scores, k=60, user_ids=split.train.user_ids, item_ids=split.train.item_ids, known=split.train
    )
    files = {
        "lists.parquet": lists,
        "train.parquet": split.train,
        "later.parquet": split.validation,
        "last.parquet": split.test,
    }
    for name, table in files.items():
        table.to_polars().write_parquet(folder / name)
    return ["lists.parquet", "--train", "train.parquet", "--validation", "later.parquet", "--test", "last.parquet"]


def copied(page, kind):
    page.get_by_role("button", name=f"Copy {kind}").click()
    page.get_by_role("button", name=f"Copy {kind}").get_by_text("Copied").wait_for()
    return page.evaluate("navigator.clipboard.readText()")


def test_what_is_copied_runs_and_makes_the_setting_again(opened, tmp_path, monkeypatch):
    """Paste each of the three ways, and compare what comes out with what the page shows."""
    monkeypatch.chdir(tmp_path)
    parts = split_into_files(tmp_path)
    assert main(["correct", *parts, "--dial", "tilt (alpha-fair)", "--dial", "log penalty", "-o", "a result"]) == 0
    assert main(["explore", "a result"]) == 0
    data = Explorer.read(tmp_path / "a result" / "explorer.json").data
    place = next(i for i, one in enumerate(data["settings"]) if one["dial"] == "tilt (alpha-fair)" and one["strength"])
    setting = data["settings"][place]
    page = opened(
        path=tmp_path / "a result" / "explorer.html", hash_=f"#tab=tradeoff&setting={place}",
        permissions=["clipboard-read", "clipboard-write"],
    )  # fmt: skip
    verb, *arguments = shlex.split(copied(page, "Command line"))
    assert verb == "headtail" and main(arguments) == 0
    again = json.loads((tmp_path / "copied" / "correction.json").read_text())
    assert (again["dial"], again["strength"]) == (setting["dial"], setting["strength"])
    of_command = ht.Recommendations.from_frame(pl.read_parquet(tmp_path / "copied" / "recommendations.parquet"))
    python, as_json = copied(page, "Python"), json.loads(copied(page, "JSON"))
    tables = [pl.read_parquet(file) for file in parts[2::2]]
    better = correct(
        ht.Recommendations.from_frame(pl.read_parquet(parts[0])), *tables, dials=["log penalty"], progress=False
    )
    here = {"better": better}
    exec(python, here)  # what a person does who pastes it
    of_json = ht.dials.dial(as_json["dial"]).at(better.subject, as_json["strength"])
    for lists in (of_command, here["lists"], better.subject.recommend(of_json, better.subject.split.known)):
        for name in ("ndcg@20", "gini@20"):
            found = ht.metrics.audit(lists, better.subject.split.train, better.subject.split.test, k=20)[name]
            assert found == pytest.approx(setting["values"][name][0], rel=1e-9)
            assert found == pytest.approx(as_json["test"][name], rel=1e-9)


def test_numbers_are_written_as_python_writes_them(browser):
    values = [0.0, 1.0, 0.98765, -3.26, 1234.5678, 12345678.9, 0.000012345, -1e-7]
    formats = [".4f", "+.2f", ",.1f", ".1%", "+.0%", ".2e", "g", ".3g", "+.2g"]
    page, functions = browser.new_page(), re.sub("^export ", "", source("explorer/dom.js"), flags=re.M)
    calls = "values.map((value) => formats.map((format) => written(value, format)))"
    found = page.evaluate(f"([values, formats]) => {{ {functions} return {calls}; }}", [values, formats])
    assert found == [[minus(show(value, spec)).strip() for spec in formats] for value in values]
    page.close()


def test_a_metric_of_tiny_values_is_told_apart(opened, explored, tmp_path):
    data = json.loads(json.dumps(jsonable(explored[1])))
    name = next(one["name"] for one in data["metrics"] if one["name"] not in (data["accuracy"], data["unfairness"]))
    next(one for one in data["metrics"] if one["name"] == name)["format"] = ".2e"
    for place, setting in enumerate(data["settings"]):
        setting["values"][name] = [1e-7 * (1 + place), None, None]
    page = opened(path=Explorer(data).to_html(tmp_path / "page.html"), hash_="#tab=tradeoff")
    page.get_by_label("Upright").select_option(name)
    ticks = page.locator(".hx-plot .hx-tick[text-anchor=end]").all_text_contents()
    assert len(set(ticks)) == len(ticks) > 2 and all("e−0" in tick for tick in ticks if tick != "0")
    page.click("#panel-tradeoff summary")
    page.get_by_role("cell", name="2.00e−07", exact=True).wait_for()  # one alone


def test_the_trade_off_begins_with_the_best_of_each_kind(opened, tmp_path):
    split = ht.split_ratio(ht.datasets.power_law(200, 60, n_interactions=1600, rng=0).interactions, rng=0)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 4)), rng.normal(size=(split.train.n_items, 4))
    found = correct(vectors, split, k=10, max_loss=0.5, refine=0, extend=0, progress=False)
    data = found.explore().data
    page = opened(path=found.to_html(tmp_path / "page.html", explorer=True), hash_="#tab=tradeoff")
    shown = set(page.locator(".hx-legend [aria-pressed=true]").all_inner_texts())
    best = {}
    for one in data["dials"]:
        own = [each for each in data["settings"] if each["dial"] == one["name"]]
        if len(own) > 1:
            value = next((each for each in own if each["chosen"]), own[0])["values"][data["unfairness"]][0]
            best.setdefault(one["works_on"], []).append((value, one["name"]))
    expected = {name for kind in best.values() for value, name in kind if value == min(kind)[0]} | {"as it is"}
    assert shown == expected | {found.dial.name} and len(shown) < len(data["dials"])
    hidden = next(i for i, each in enumerate(data["settings"]) if each["dial"] not in shown and each["strength"])
    name = data["settings"][hidden]["dial"]
    slider = page.get_by_role("slider", name=name, exact=True)
    slider.focus()
    page.keyboard.press("End")
    assert (
        page.locator(".hx-legend").get_by_role("button", name=name, exact=True).get_attribute("aria-pressed") == "true"
    )
    assert page.locator(".hx-current").count() == 1


def test_items_are_searched_sorted_and_looked_at(opened, explored):
    page, data = opened(), explored[1]
    page.click("#tab-items")
    rows = page.locator("#panel-items .ht-scroll tbody tr")
    assert rows.count() == 50
    page.get_by_role("button", name="Show 40 more").click()
    assert rows.count() == len(data["items"]["ids"])

    def numbers(place):
        cells = page.locator(f"#panel-items .ht-scroll tbody td:nth-child({place})").all_text_contents()
        return [int(text.split()[0].replace(",", "").replace("−", "-")) for text in cells]

    assert numbers(3) == sorted(numbers(3), reverse=True)
    for place, name in ((2, "Popularity"), (3, "As it is"), (4, "Now"), (5, "Change")):
        head = page.locator("#panel-items").get_by_role("button", name=name)
        head.click()
        assert numbers(place) == sorted(numbers(place), reverse=True)
        head.click()
        assert numbers(place) == sorted(numbers(place))
        assert head.evaluate("(one) => one === document.activeElement"), "sorting keeps the focus"
    page.get_by_label("Group").select_option("tail")
    assert 0 < rows.count() < 50
    page.get_by_label("Group").select_option("all")
    page.get_by_label("Search items").fill("no such film")
    assert "No item is found." in page.locator("#panel-items [role=status]").inner_text()
    assert not page.locator("#panel-items .hx-detail").is_visible(), "of another item"
    place = next(i for i, title in enumerate(data["items"]["titles"]) if HOSTILE in title)
    page.get_by_label("Search items").fill(f"FILM {data['items']['ids'][place]} <")
    assert rows.count() == 1
    assert rows.locator(".hx-told").text_content() == data["items"]["titles"][place]
    rows.get_by_role("button").click()
    assert page.locator("#panel-items .hx-detail tbody tr").count() == 2
    assert page.locator("script, img").count() == 2, "what is in titles is text"


def odd():
    """Pages that lack this or that: of lists and a dial of one setting; of a strange dial that runs below 0."""
    split = ht.split_ratio(ht.datasets.power_law(100, 40, n_interactions=700, rng=0).interactions, rng=0)
    lists = ht.baselines.most_popular(split.train, 40).to_polars()
    subject = subject_of(lists.with_columns(score=1 / lists["rank"]), split, k=5)
    still = Witness(subject, n_users=3)
    yield still.explore(sweep(still.watching(dial("IPR")), subject, grid=[0.0], n_bootstrap=0))
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(split.train.n_users, 3)), rng.normal(size=(split.train.n_items, 3))
    mine = Dial.of(f"it's {HOSTILE}", lambda strength, seed: (factors[0] + strength, factors[1]), (0.0, -0.5, -1.0))
    own, nothing = Witness(Subject(None, split, k=5), n_users=3), {"nothing": better("lower")(lambda top: float("nan"))}
    frontier = sweep(own.watching(mine), own.subject, metrics={**HEADLINES, **nothing}, n_bootstrap=0)
    yield own.explore(frontier, chosen=(mine.name, -0.5))


@pytest.mark.parametrize("which", [0, 1])
def test_what_a_page_lacks_it_does_without(opened, tmp_path, which):
    path = list(odd())[which].to_html(tmp_path / "odd.html")
    page = opened(path=path)
    assert page.get_by_role("tab").count() == 3
    for slider in page.get_by_role("slider").all():
        slider.focus()
        page.keyboard.press("ArrowRight")
    for tab in page.get_by_role("tab").all():
        tab.click()
    page.locator("#panel-items tbody button").first.click()
    page.get_by_role("tab", name="Trade-off").click()
    page.get_by_label("Upright").select_option(index=page.get_by_label("Upright").locator("option").count() - 1)
    assert len(page.locator(".hx-point").all()) == (1 if which == 0 else 0)
    page.click("#panel-tradeoff summary")
    if which:
        assert "dial.at(better.subject, -1)" in page.locator(".hx-copy").inner_text()
        assert page.locator("script, img").count() == 2


def test_neurons_and_directions(opened, explored):
    page, data = opened(), explored[1]
    page.click("#tab-neurons")
    rows = page.locator("#panel-neurons .ht-scroll tbody tr")
    assert rows.count() == len(data["neurons"]["index"]) == 32
    page.get_by_label("Tag", exact=True).select_option("niche")
    niche = rows.count()
    assert 0 < niche < 32
    page.get_by_label("Tag", exact=True).select_option("all")
    page.get_by_label("Search by title", exact=False).fill("no such neuron")
    assert "No neuron is found." in page.locator("#panel-neurons [role=status]").first.inner_text()
    page.get_by_label("Search by title", exact=False).fill("neuron 3")
    assert {text.strip()[0] for text in rows.locator("td:first-child").all_text_contents()} == {"3"}
    rows.get_by_role("button").first.click()
    detail = page.locator("#panel-neurons .hx-detail")
    assert detail.locator("ol").count() == 3 and detail.locator("ol li").count() == 24
    page.get_by_label("Search by title", exact=False).fill("")
    rows.get_by_role("button").first.click()
    place, user = data["neurons"]["index"].index(int(rows.first.locator("td").first.inner_text())), 7
    detail.get_by_label("User").select_option(str(user))
    plain = titles_of(data, data["settings"][0], user)
    slider = detail.get_by_label("Push, in std")
    assert "0.0% of the places change" in detail.inner_text()
    assert detail.locator("ul li").count() == 0
    slider.focus()
    for strength in (1.0, 2.0, 4.0):
        page.keyboard.press("ArrowRight")
        turned = lists_of(data["neurons"]["turned"])[place, data["neurons"]["pushes"].index(strength), user]
        now = [data["items"]["titles"][i] for i in turned]
        assert detail.locator("ul").nth(0).locator(".hx-told").all_text_contents() == [t for t in now if t not in plain]
        assert detail.locator("ul").nth(1).locator(".hx-told").all_text_contents() == [t for t in plain if t not in now]
    page.click("#tab-spectrum")
    assert page.locator("#panel-spectrum tbody tr").count() == len(data["spectrum"]["sigma"])
    ticks = page.locator("#panel-spectrum svg[aria-label=energy] .hx-tick[text-anchor=end]").all_text_contents()
    assert len(ticks) > 1 and all(tick.endswith("%") for tick in ticks), "as the table has it"
    page.locator("#panel-spectrum tbody button").nth(2).click()
    assert "Direction 3" in page.locator("#panel-spectrum .hx-detail").inner_text()
    page.locator("#panel-spectrum .hx-bar").nth(1).click()
    assert "Direction 2" in page.locator("#panel-spectrum .hx-detail").inner_text()
