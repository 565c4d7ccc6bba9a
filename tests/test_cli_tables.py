"""Tables as users have them: names of columns, no header, repeated rows, ratings; and what `doctor` says of them."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import headtail as ht
from headtail import data
from headtail.cli import app, main
from headtail.cli._tables import Tables
from headtail.cli._words import as_typed


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    split = ht.split_ratio(ht.datasets.power_law(150, 60, n_interactions=1200, rng=0).interactions, rng=0)
    rng = np.random.default_rng(0)
    for name, part in split.parts.items():
        table = part.to_polars().rename({"user_id": "who", "item_id": "what"})
        pl.DataFrame(table).with_columns(liked=pl.Series(rng.integers(1, 6, len(table)))).write_csv(f"{name}.csv")
    return split


def test_columns_by_name_on_every_verb(world, capsys):
    names = ["--user", "who", "--item", "what", "--rating", "liked"]
    assert main(["data", "train.csv", "--split", "ratio", "--to", "parts", *names]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Positives: all" in said and "whatever their rating (1 to 5)" in said
    sizes = {name: len(data.read_interactions(f"parts/{name}.parquet")) for name in ("train", "validation", "test")}
    for name, size in sizes.items():
        assert f"parts/{name}.parquet: {size:,} interactions of" in said
    lists = ht.baselines.most_popular(world.train.compact(), k=20).to_polars().with_columns(est=1 / pl.col("rank"))
    lists.drop("rank").rename({"user_id": "who", "item_id": "what"}).write_csv("recs.csv")
    assert main(["audit", "recs.csv", "train.csv", "--test", "test.csv", "-k", "5", "--score", "est", *names]) == 0
    with_rating = main(["audit", "recs.csv", "train.csv", "--min-rating", "4", "-k", "5", "--no-strict", *names])
    assert with_rating in (0, 2)  # items that nobody liked are not in the catalogue
    capsys.readouterr()
    assert main(["audit", "recs.csv", "train.csv", "-k", "5", "--score", "none", *names]) == 2
    assert "recs.csv has no column 'none'" in capsys.readouterr().err
    parts = ["--train", "train.csv", "--validation", "validation.csv", "--test", "test.csv"]
    assert main(["correct", "recs.csv", *parts, "--dial", "log penalty", "-k", "5", "--max-loss", "0.9", *names]) == 0
    assert main(["train", "train.csv", "--output", "model", "--epochs", "1", "--k", "5", *names]) == 0
    assert "Positives: all" in " ".join(capsys.readouterr().out.split())


def test_without_a_header_and_repeated_rows_summed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plays.csv").write_text("7,1,2\n7,1,3\n8,1,9\n8,2,1\n")
    flags = ["--columns", "user,item,plays", "--duplicates", "sum"]
    assert main(["data", "plays.csv", "--to", "out.csv", *flags]) == 0
    assert data.read_table("out.csv").rows() == [(7, 1, 5.0), (8, 1, 9.0), (8, 2, 1.0)]
    assert main(["data", "plays.csv", "--columns", "user,item"]) == 2
    assert "--columns user,item holds 2 names" in capsys.readouterr().err
    assert main(["data", "out.csv", "--columns", "user_id,item_id,rating"]) == 0  # it has names of its own


def test_files_beside_have_the_named_columns_or_the_usual_ones(world, capsys):
    lists = ht.baselines.most_popular(world.train.compact(), k=5).to_polars()
    lists.rename({"user_id": "who"}).write_csv("recs.csv")
    users, items = (pl.Series(ids.tolist()) for ids in (world.train.user_ids, world.train.item_ids))
    pl.DataFrame({"who": users, "half": [i % 2 for i in range(len(users))]}).write_csv("users.csv")
    titles = [f"The {i}" for i in items]
    pl.DataFrame({"what": items, "kind": [i % 3 for i in range(len(items))], "title": titles}).write_csv("items.csv")
    given = ["--catalogue", "items.csv", "--titles", "items.csv", "--items", "items.csv", "--by", "kind", "--json"]
    names = ["--user", "who", "--item", "what"]
    assert main(["audit", "recs.csv", "train.csv", "-k", "5", "--users", "users.csv", *given, *names]) == 0
    out, err = capsys.readouterr()
    assert err == "recs.csv has no column 'what'; 'item_id' is read in its place.\n"
    found = json.loads(out)
    assert {m["users"] for m in found["measurements"]} == {"all", "half=0", "half=1"}
    assert {row["attribute"] for row in found["attribute_shares"]} == {"kind"}
    assert found["over_exposed"][0]["title"].startswith("The ")


def test_what_a_verb_never_reads_may_have_gaps(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("train.csv").write_text("user_id,item_id,rating,timestamp\n1,a,NULL,3\n1,b,4,\n2,a,3,4\n2,c,2,5\n")
    Path("test.csv").write_text("user_id,item_id,rating\n1,c,good\n2,b,bad\n")
    Path("recs.csv").write_text("user_id,item_id,score\n1,c,.9\n2,b,.7\n")
    audit = ["audit", "recs.csv", "train.csv", "--test", "test.csv", "-k", "1", "--n-bootstrap", "0", "--json"]
    assert main(audit) == 0
    shown = capsys.readouterr()
    told = " ".join(shown.err.split())
    assert "train.csv: rating has 1 missing value" in told
    assert "test.csv: the table has String in 'rating', for example 'good'" in told
    assert json.loads(shown.out)["kind"] == "audit"
    for needed in (["--min-rating", "3"], ["--rating", "rating"], ["--duplicates", "last"], ["--as-of-event"]):
        assert main([*audit, *needed]) == 2
        assert "missing value" in " ".join(capsys.readouterr().err.split())


def test_text_files_of_several_widths_without_a_header(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recs.csv").write_text("1,b,.5\n2,a,.5\n")
    (tmp_path / "train.csv").write_text("1,a,3,1700000000\n2,b,4,1700000001\n")
    columns = ["--columns", "user,item,rating,timestamp", "--columns", "user,item,score"]
    assert main(["audit", "recs.csv", "train.csv", "-k", "1", *columns, "--output", "audit.json"]) == 0
    assert json.loads((tmp_path / "audit.json").read_text())["provenance"]["command"][4:] == [
        f"--columns={names}" for names in columns[1::2]
    ]
    assert main(["audit", "--again", "audit.json"]) == 0
    assert "equal byte for byte" in capsys.readouterr().out


def test_vectors_are_joined_by_id_files(world, capsys):
    model = ht.models.ALS(world.train.n_users, world.train.n_items, 8, rng=0)
    ht.fit(model, world.train, progress=False)
    queries, items = (matrix.numpy() for matrix in ht.vectors(model))
    order = np.random.default_rng(0).permutation(len(items))
    np.save("queries.npy", queries)
    np.save("items.npy", items[order])
    np.save("ids.npy", world.train.item_ids[order])
    np.save("users.npy", world.train.user_ids)
    line = ["spectrum", "--queries", "queries.npy", "--items", "items.npy", "--train", "train.csv", "--json",
            "--user", "who", "--item", "what", "--rating", "liked"]  # fmt: skip
    assert main([*line, "--item-ids", "ids.npy", "--user-ids", "users.npy"]) == 0
    expected = ht.spectrum(queries, items, popularity=world.train.popularity).alignment[0]
    assert json.loads(capsys.readouterr().out)["directions"][0]["alignment"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("content", "flags", "status", "said"),
    [
        ("customer,product,stars\na,x,1\na,x,5\nb,y,4\n", [], 0,
         ["customer user_id String", "1 row repeats", "Pass: headtail data t.csv --duplicates last --min-rating 4"]),
        ("visitorid,sku,plays\n1,x,1\n1,x,500\n2,y,4\n2,x,1\n", [], 0, ["--duplicates sum", "goes from 1 to 500"]),
        ("1,10,5\n1,12,3\n", [], 2, ["holds data", "--columns user,item,rating"]),
        ("1,10,5\n1,12,3\n", ["--columns", "user,item,rating"], 0, ["2 interactions", "--columns user,item,rating"]),
        ("listener,track\n1,2\n1,3\n", [], 0, ["Nothing is odd", "1 users, 2 items"]),
        ("visitorid,event,itemid\n1,view,2\n1,buy,3\n", [], 0, ["'event' holds 2 kinds of rows ('view', 'buy')"]),
        ("a,b\n1,2\n1,3\n", [], 0, ["usual name of items. Name it by --item.", "--user NAME --item NAME"]),
        ("Kunde,am Datum,Artikel,Preis\nk,1,a,2.5\nk,2,b,1.5\nl,1,a,3.5\n", [], 0,
         ["If 'Artikel' is that, name it by --item.", "Pass: headtail data t.csv --user Kunde --item Artikel"]),
        ("Kunde,item\nk,a\nk,b\nl,a\n", [], 0, ["Pass: headtail data t.csv --user Kunde"]),
        ("Kunde\nk\nk\nl\n", [], 0, ["Pass: headtail data t.csv --user NAME --item NAME"]),
        ("a,b\n1,2\n1,3\n", ["--user", "a", "--item", "b"], 0, ["Read as: Interactions", "--user a --item b"]),
        ("user,item\n1, 2\n1, 3\n", [], 0, ["'item' begins or ends with blanks in 2 rows"]),
        ("user,item,rating\n1,2,nan\n1,3,4\n", [], 0, ["cannot be read: rating holds 1 value that is not finite"]),
        ("a,b\n1,2\n1,3\n", ["--user", "c"], 0, ["has no column 'c'"]),
        ("user,item,stars,pred\nk,a,1,0.5\nk,b,2,nan\nl,a,3,0.1\n", [], 0,
         ["If its rows are recommendations, they cannot be read: lists has 1 missing value in 'pred'"]),
        ("user,item,rank\nk,a,1\nk,b,3\nl,a,1\n", [], 0, ["they cannot be read: lists has ranks that are not 1, 2, 3"]),
        ("user,item,wert\nk,a,x\nk,b,y\nl,a,z\n", ["--score", "wert"], 0, ["they cannot be read: lists has String"]),
        ("buyer,sku,quantity,sold_at\na,x,1\na,x,-1\nb,x,1\nb,y,2\nc,y,1\n".replace("\n", ",5.1.2020\n")
         .replace("sold_at,5.1.2020", "sold_at"), [], 0,
         ["'quantity' is negative in 1 row", "--duplicates sum --min-rating 1", "pass --timestamp sold_at"]),
        ("user,item\n" + "".join(f"{u},{u}\n" for u in range(99)) + "".join(f"bot,{i}\n" for i in range(50)), [], 0,
         ["'bot' alone has 50 of 149 rows, and half of all users have at most 1."]),
        ("item_id,name\n1,Heat\n2,Dune\n", [], 0, ["No item comes twice. If the table describes items, give it"]),
        ("1,Toy Story (1995),Comedy\n2,Heat (1995),Crime\n", [], 2, ["--columns item,title,column3"]),
        ("user,item,label\n1,2,0\n1,3,1\n2,3,0\n2,2,1\n", [], 0, ["Pass: headtail data t.csv --min-rating 1"]),
        ("customer_id,article_id,t_dat\n1,2,2020-09-20\n1,3,2020-09-21\n", [], 0, ["t_dat timestamp"]),
        (",".join("0" * 40) + "\n", [], 2, ["it is a matrix: in Python, give what numpy.loadtxt reads to"]),
        ("customer_id,prediction\na,066 054\nb,066 053 052\n", [], 0, ["Pass: headtail data t.csv --item prediction"]),
        ("user,recommendation\n1,3 4\n2,4 5 6\n", [], 0, ["2 users, 4 items, 5 inter", "audit t.csv TRAIN"]),
        ('session_id;recs\n1;"1,2,3,4,5,6"\n1;"2,3,4,5,6,7"\n2;"1,2,3,4,5,6"\n', [], 0,
         ["2 users, 7 items, 13 inter", "1 of 2 users have several lists. Keep one of each."]),
    ],
)  # fmt: skip
def test_doctor(content, flags, status, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(content)
    assert main(["doctor", "t.csv", *flags]) == status
    out = " ".join(capsys.readouterr().out.split())
    for text in said:
        assert text in out
    assert ("Pass:" in out) != ("It cannot be read" in out)


def test_ids_within_objects_of_json(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("found.jsonl").write_text(
        '{"user": 1, "found": [{"what": 7, "score": 0.1}, {"what": 5, "score": 0.2}]}\n'
        '{"user": 2, "found": [{"what": 5, "score": 0.2}]}\n'
    )
    Path("train.csv").write_text("user,what\n1,7\n2,5\n")
    assert main(["doctor", "found.jsonl", "--item", "what"]) == 0
    assert "Read as: Interactions(2 users, 2 items" in capsys.readouterr().out
    assert main(["audit", "found.jsonl", "train.csv", "--item", "what", "-k", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["measurements"]


def test_doctor_shows_no_more_digits_than_a_column_holds(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scores = pl.Series([0.1254, 0.5], dtype=pl.Float32)
    pl.DataFrame({"user_id": [1, 2], "item_id": [7, 5], "score": scores}).write_parquet("recs.parquet")
    assert main(["doctor", "recs.parquet"]) == 0
    assert "0.1254, 0.5" in capsys.readouterr().out


@pytest.mark.parametrize(("names", "passed"), [
    ("user_id,item_id,position,model_score", "headtail audit t.csv TRAIN --score model_score"),
    ("kunde,item_id,rank,score", "headtail audit t.csv TRAIN --user kunde"),
    ("user_id,item_id,place,prediction", "headtail audit t.csv TRAIN"),
    ("user_id,item_id,rating,price", None),
])  # fmt: skip
def test_doctor_says_how_recommendations_are_audited(names, passed, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text(names + "\nann,x,1,0.5\nann,y,2,0.25\nbob,x,1,0.5\n")
    Path("train.csv").write_text("user,item\nann,z\nbob,y\ncy,x\n")
    assert main(["doctor", "t.csv", *(["--user", "kunde"] if "kunde" in names else [])]) == 0
    found = re.search("If its rows are recommendations: (.*)", capsys.readouterr().out)
    assert (found and found[1]) == passed
    if passed and "kunde" not in names:
        assert main([*passed.replace("TRAIN", "train.csv").split()[1:], "-k", "1"]) == 0


@pytest.mark.parametrize(("name", "content", "flags", "rows"), [
    ("t.csv", "user,item,plays,event\n a,x,1,buy\n,x,2,buy\nNULL,x,2,buy\nb,x,nan,buy\nb,y,3,buy\nb,z,3,view\n", [],
     [("a", "x", 1.0, "buy"), ("b", "y", 3.0, "buy"), ("b", "z", 3.0, "view")]),
    ("it's.csv", "a, 1\nb,2\n", ["--columns", "user,item"], [("a", "1"), ("b", "2")]),
    ("t.csv", "user,item\n" + "".join(f"{u},{u}\n" for u in range(99)) + "".join(f"7,{i}\n" for i in range(200, 250)),
     [], [(u, u) for u in range(99) if u != 7]),
])  # fmt: skip
def test_what_doctor_mends_can_be_typed(name, content, flags, rows, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(content)
    assert main(["doctor", name, *flags]) == 0
    typed = re.search("Mend, leaving out what is not meant: (.*)", capsys.readouterr().out)[1]
    exec(shlex.split(typed)[2], {})
    mended = f"{Path(name).stem}.mended.parquet"
    assert pl.read_parquet(mended).rows() == rows
    assert main(["doctor", mended]) == 0
    assert "Read as: Interactions(" in capsys.readouterr().out


def test_the_films_of_movielens_have_titles_once_they_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("u.data").write_text("7\t1\t5\t881250949\n7\t2\t3\t881250950\n8\t1\t4\t881250951\n")
    Path("u.item").write_text(
        "1|Toy Story (1995)|01-Jan-1995||http://a/b|0|1\n2|Heat (1995)|01-Jan-1995||http://a/c|1|0\n"
    )
    assert main(["doctor", "u.item"]) == 2
    passed = re.search("such as: headtail (.*)", capsys.readouterr().out)[1].split()
    assert main(passed) == 0
    line = ["data", "u.data", "--columns", "user,item,rating,timestamp", "--titles", "u.item", *passed[2:]]
    assert main([*line, "--to", "films.inter"]) == 0
    assert data.read_table("films.item")["item_title"].to_list() == ["Toy Story (1995)", "Heat (1995)"]
    assert main(["data", "films.inter", *passed[2:]]) == 0  # which has names of its own


def test_what_doctor_passes_can_be_passed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("bare.csv").write_text("1,7,pv,4\n2,5,buy,3\n")
    assert main(["doctor", "bare.csv"]) == 2
    passed = re.search("such as: headtail (.*)", capsys.readouterr().out)[1]
    assert main(passed.split()) == 0
    assert "Read as: Interactions(2 users, 2 items" in capsys.readouterr().out


ODD = "error MissingColumnError: odd.csv has no column 'user_id'"
PAIR = ["--queries", "q.npy", "--items", "v.npy"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["audit", "odd.csv", "train.csv"], "odd.csv has no column 'user_id', nor one"),
        (["audit", "odd.csv", "train.csv"], "Give --user VALUE with"),
        (["audit", "odd.csv", "train.csv", "--user", "persn"], "odd.csv has no column 'persn'. Did you mean 'person'?"),
        (["audit", "recs.csv", "odd.csv", "--user", "person"], "Give --item VALUE with"),
        (["audit", "recs.csv", "train.csv", "--users", "odd.csv"], "odd.csv has no column 'user_id', nor one"),
        (["audit", "recs.csv", "train.csv", "--users", "odd.csv"], "Give --user VALUE with"),
        (["audit", "recs.csv", "train.csv", "--items", "odd.csv", "--by", "stars"], "Give --item VALUE"),
        (["audit", "recs.csv", "train.csv", "--catalogue", "odd.csv"], "Give --item VALUE with"),
        (["data", "train.csv", "--titles", "odd.csv"], "error MissingColumnError: odd.csv has no column 'item_id'"),
        (["spectrum", *PAIR, "--item-ids", "odd.csv"], "Give --item VALUE with"),
        (["probe", "none", "--tags", "odd.csv", "-o", "p"], "Give --item VALUE with"),
        (["data", "words.csv"], "If these are data, the table has no header: name its columns by --columns."),
        (["audit", "recs.csv", "twice.csv"], "--duplicates first; or 'last', or 'mean'"),
        (["audit", "recs.csv", "train.csv", "-k", "9"], "--k 9 is above the longest list"),
        (["audit", "recs.csv", "train.csv", "--min-rating", "9"], "--min-rating 9 leaves no interactions"),
        (["audit", "strange.csv", "train.csv"], "give --catalogue FILE with all item ids"),
        (["audit", "cold.csv", "train.csv"], "Or give --no-strict: they are left out"),
        (["audit", "recs.csv", "bare.csv"], "or give --columns VALUE, one for each column"),
        (["audit", "recs.csv", "bare.csv", "--columns", "a"], "--columns a holds 1 name, but the first line"),
        (["audit", "recs.csv", "train.csv", "--as-of-event"], "--as-of-event needs the times"),
        (["correct", *PAIR, "--train", "odd.csv", "--validation", "recs.csv"], "Give --user VALUE with"),
        (["correct", *PAIR, "--train", "train.csv", "--validation", "recs.csv"], "row is: --user-ids FILE"),
        (["data", "odd.csv"], f"{ODD}, nor one of"),
        (["data", "train.csv", "--user", "user_di"], "train.csv has no column 'user_di'. Did you mean 'user_id'?"),
        (["data", "train.csv", "--split", "time", "--to", "parts"], "--timestamp when, or use --split leave-last or"),
        (["doctor", "odd.csv", "--item", "ting"], "a usual name of users. If 'person' is that, name it by --user."),
        (["doctor", "bare.csv"], "or give --columns VALUE"),
        (["explore", "none"], "none holds no explorer.json. Give a folder that"),
        (["probe", *PAIR, "--train", "odd.csv", "-o", "p"], "Give --user VALUE with"),
        (["recommend", "odd.csv", "-o", "lists.csv"], "does not exist. Check the folder"),
        (["spectrum", *PAIR, "--train", "odd.csv"], "Give --user VALUE with"),
        (["train", "odd.csv", "-o", "m"], "Give --user VALUE with"),
        (["train", "train.csv", "-o", "m", "--model", "sasrec"], "Name the column, as in --timestamp when."),
        (["train", "train.csv", "-o", "m", "--validation", "1.5"], "--validation 1.5 is out of range"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_words_that_can_be_typed(line, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = [(u, i, 1 + (u + i) % 5) for u in range(6) for i in range(6) if (u + i) % 3]
    texts = [f"{u},{i},{r}" for u, i, r in rows]
    lists = [f"{u},{i},{rank}" for u in range(6) for rank, i in enumerate([i for i in range(6) if not (u + i) % 3], 1)]
    files = {
        "odd.csv": ["person,thing,stars", *texts], "train.csv": ["user_id,item_id,rating", *texts], "bare.csv": texts,
        "twice.csv": ["user_id,item_id,rating", *texts, texts[0]], "recs.csv": ["user_id,item_id,rank", *lists],
        "words.csv": ["a,b", "c,d"],
        "strange.csv": ["user_id,item_id", "1,99"], "cold.csv": ["user_id,item_id", "99,1"],
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_text("\n".join(content))
    np.save("q.npy", np.eye(5))
    np.save("v.npy", np.eye(5))
    assert main(line) == (0 if line[:2] == ["doctor", "odd.csv"] else 2)
    out, err = capsys.readouterr()
    assert said in " ".join((out + err).split())
    assert not re.search(r"\w=['\"\w.\[]", out + err)


@pytest.mark.parametrize("verb", [name for name in app if not name.startswith("-")])
def test_every_flag_is_named_as_it_is_typed(verb):
    for argument in app[verb].assemble_argument_collection():
        flag = argument.names[0]
        name = flag.removeprefix("--").replace("-", "_")
        if name != "*":
            assert as_typed(f"No. Give {name}=3, or f({name}=...).", [verb]).startswith(f"No. Give {flag} 3, or")
            assert flag in as_typed(f"Ids are wrong: Table.read(rows, {name}=...).", [verb]).split("wrong: ")[1]
    assert as_typed("nothing=1 of it; x[a=b], --k=3", [verb]) == "nothing=1 of it; x[a=b], --k=3"


def test_columns_that_are_named_the_other_way_round(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("swapped.csv").write_text("item_id,user_id\n1,a\n2,a\n")
    assert main(["data", "swapped.csv", "--user", "item_id", "--item", "user_id", "--to", "right.csv"]) == 0
    assert data.read_table("right.csv").rows() == [(1, "a"), (2, "a")]
    Path("recs.csv").write_text("item_id,user_id,rank\n2,b,1\n1,b,1\n")
    Path("train.csv").write_text("item_id,user_id\n1,a\n2,b\n2,c\n1,c\n")
    names = ["--user", "item_id", "--item", "user_id", "--no-strict", "-k", "1", "--json"]
    assert main(["audit", "recs.csv", "train.csv", *names]) == 0
    assert main(["audit", "recs.csv", "train.csv", "--user", "item_id"]) == 2
    assert "There are: 'user_id', 'rank'. Give --item VALUE with the name of the right one." in capsys.readouterr().err


def test_one_file_too_many_is_told_where_to_go(capsys):
    assert main(["audit", "recs.csv", "train.csv", "test.csv"]) == 2
    assert "Name further files by flags; --help lists them." in capsys.readouterr().err


def test_where_nothing_could_be_written_is_told_before_the_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("train.csv").write_text("user,item\n1,1\n1,2\n2,1\n")
    Path("folder").mkdir()
    for line in (
        ["train", "missing.csv", "--output", "train.csv"],
        ["probe", "missing", "--output", "train.csv"],
        ["correct", "missing", "--output", "train.csv"],
        ["data", "missing.csv", "--split", "ratio", "--to", "train.csv"],
    ):
        assert main(line) == 2
        if line[0] != "data":
            assert "Cannot write train.csv: it is a file. Give the path of a folder." in capsys.readouterr().err
    for output, why in {"folder": "it is a folder", "recs.xlsx": "the ending '.xlsx' is not one of"}.items():
        assert main(["recommend", "missing", "--output", output]) == 2
        assert why in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "train.csv"]


@pytest.mark.parametrize("ids", [["ann", "bob"], [7, 5]])
def test_ids_saved_as_python_objects_are_told_how_to_be_saved(ids, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("q.npy", "v.npy"):
        np.save(name, np.eye(2))
    np.save("it's.npy", np.array(ids, dtype=object))
    assert main(["spectrum", *PAIR, "--item-ids", "it's.npy"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    exec(shlex.split(told.partition("numbers: ")[2])[2], {})
    assert np.load("it's.npy").tolist() == ids


def test_arrays_whose_header_is_damaged_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("v.npy", np.eye(10))
    Path("q.npy").write_bytes(Path("v.npy").read_bytes().replace(b"(10, 10)", b"(10**9,1"))
    assert main(["spectrum", *PAIR]) == 2
    assert "Cannot read q.npy as a .npy array" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("items", "scores", "found"),
    [
        (["3 1 2", "2 3"], ["0.9 0.5 1e-05", "-0.1 -2"], [[3, 1, 2], [2, 3]]),
        (["003 001 2", "2 003"], None, [["003", "001", "2"], ["2", "003"]]),
        (["[3, 1, 2]", "[2, 3]"], ["[0.9, 0.5, 0.1]", "[3, 1]"], [[3, 1, 2], [2, 3]]),
        (["[3 1 2]", "[2 3]"], None, [[3, 1, 2], [2, 3]]),
        (
            ["['Se7en, 2', 'b c', \"d's\"]", "['b c', 'Se7en, 2']"],
            None,
            [["Se7en, 2", "b c", "d's"], ["b c", "Se7en, 2"]],
        ),
        (["[a b, c, d]", "[c, a b]"], None, [["a b", "c", "d"], ["c", "a b"]]),
        (["a1|b1|c1", "b1|a1"], None, [["a1", "b1", "c1"], ["b1", "a1"]]),
    ],
)
def test_lists_that_a_text_file_holds_in_a_field(items, scores, found, tmp_path, capsys):
    table = pl.DataFrame({"user_id": [1, 2], "prediction": items} | ({} if scores is None else {"score": scores}))
    data.write_table(table, tmp_path / "lists.csv")
    lists = Tables(item="prediction").lists(tmp_path / "lists.csv")
    assert lists["item_id"].to_list() == found
    if scores is not None:
        assert lists["score"].dtype == pl.List(pl.Float64) and lists["score"].list.len().to_list() == [3, 2]


def test_users_to_serve_may_stand_in_a_file_more_than_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train.csv").write_text("user,item\n1,5\n1,6\n2,5\n2,7\n3,6\n3,7\n")
    assert main(["train", "train.csv", "--epochs", "1", "--validation", "0", "--embedding-dim", "2", "-o", "m"]) == 0
    Path("some.csv").write_text("user\n2\n1\n2\n")
    assert main(["recommend", "m", "--users", "some.csv", "-k", "1", "-o", "lists.csv"]) == 0
    assert sorted(pl.read_csv("lists.csv")["user_id"].to_list()) == [1, 2]


def test_vectors_in_tables_and_ids_in_json(world, capsys):
    users, items, rng = world.train.user_ids.tolist(), world.train.item_ids.tolist(), np.random.default_rng(0)
    vectors = {"q": (users, rng.normal(size=(150, 3)).round(3)), "v": (items, rng.normal(size=(60, 3)).round(3))}
    for name, (ids, rows) in vectors.items():
        np.save(f"{name}.npy", rows)
        Path(f"{name}.json").write_text(json.dumps(ids))
        Path(f"{name}.map.json").write_text(json.dumps({one: row for row, one in enumerate(ids)}))
        words = [" ".join([str(one), *map(str, row)]) for one, row in zip(ids, rows.tolist(), strict=True)]
        Path(f"{name}.vec").write_text("\n".join([f"{len(ids)} 3", *words]) + "\n")
        Path(f"{name}.txt").write_text("\n".join(words))
        pl.DataFrame({"id": ids, "v": [str(row) for row in rows.tolist()]}).write_csv(f"{name}.csv")
        pl.DataFrame({"it": ids, "v": rows}).write_parquet(f"{name}.parquet")
        Path(f"{name}.dict.json").write_text(json.dumps(dict(zip(ids, rows.tolist(), strict=True))))
        np.savez(f"{name}.npz", rows=rows, ids=np.array(ids))
    said = set()
    for form in ("vec", "txt", "csv", "parquet", "dict.json"):
        assert main(["spectrum", "--queries", f"q.{form}", "--items", f"v.{form}", "--train", "train.csv", "--user",
                     "who", "--item", "what", "--json"]) == 0  # fmt: skip
        said.add(capsys.readouterr().out)
    for ids in ("json", "map.json"):
        assert main(["spectrum", "--queries", "q.npy", "--items", "v.npy", "--user-ids", f"q.{ids}", "--item-ids",
                     f"v.{ids}", "--train", "train.csv", "--user", "who", "--item", "what", "--json"]) == 0  # fmt: skip
        said.add(capsys.readouterr().out)
    assert len(said) == 1
    assert main(["spectrum", "--queries", "q.npz", "--items", "v.npy"]) == 2
    cure = re.search(r"python -c .*", " ".join(capsys.readouterr().err.split()))
    subprocess.run(cure[0].replace("python", sys.executable, 1), shell=True, check=True)
    assert np.load("rows.npy").shape == (150, 3)


def test_attributes_and_titles_in_an_object_of_json(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.csv").write_text("user,item\n1,7\n1,8\n2,7\n3,9\n")
    (tmp_path / "recs.json").write_text('{"1": [9], "2": [8], "3": [7]}')
    for name, held in {
        "titles": {7: "Heat", 8: "Dune", 9: "Alien"}, "of users": {1: "a", 2: "b", 3: "a"},
        "items": {7: ["x", "y"], 8: "x", 9: ["z"]}, "rows": {7: {"genre": "x|y"}, 8: {"genre": "x"}, 9: {"genre": "z"}},
    }.items():  # fmt: skip
        (tmp_path / f"{name}.json").write_text(json.dumps(held))
    plain = ["audit", "recs.json", "train.csv", "-k", "1", "--titles", "titles.json", "--users", "of users.json"]
    found = []
    for file in ("items.json", "rows.json"):
        assert main([*plain, "--items", file, "--by", "genre", "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert "group=a" in str(found[0]) and "Dune" in str(found[0]) and "gini_of_genre" in str(found[0])
    assert found[0]["attribute_shares"] == found[1]["attribute_shares"]


CURED = [  # command, what its first error offers
    ("data dates.csv", "--time-format '%d/%m/%Y %H:%M'"),
    ("data gaps.csv", "--drop timestamp"),
    ("data dated.csv", "--drop timestamp"),
    ("data stars.csv", "--drop rating"),
    ("data twice.csv", "--duplicates first"),
    ("data rated.csv --min-rating 9", "--min-rating 4"),
    ("audit unknown.csv train.csv", "--no-strict"),
    ("audit gapped.csv train.csv", "--drop rank"),
    ("audit lists.csv train.csv --baseline audit.json", "--fail-if 'gini@2 rises'"),
    ("audit lists.csv train.csv --as-of-event", ""),
    ("audit lists.csv train.csv --items items.csv --by gnre", "--by genre"),
]


@pytest.mark.parametrize(("command", "cure"), CURED)
def test_what_an_error_offers_can_be_typed(command, cure, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pairs = [(user, item) for user in range(6) for item in range(4) if (user + item) % 3]
    train = pl.DataFrame(pairs, schema=["user_id", "item_id"], orient="row")
    n = len(train)
    lists = pl.DataFrame([(u, i, r) for u in range(6) for r, i in ((1, u % 4), (2, (u + 1) % 4))],
                         schema=["user_id", "item_id", "rank"], orient="row")  # fmt: skip
    for name, table in {
        "train": train,
        "dates": train.with_columns(timestamp=pl.lit("31/12/2020 09:30")),
        "gaps": train.with_columns(timestamp=pl.Series([None, *range(n - 1)])),
        "dated": train.with_columns(date=pl.Series([None, *range(n - 1)])),
        "stars": train.with_columns(rating=pl.lit("many stars")),
        "rated": train.with_columns(rating=pl.Series([4.0] + [3.0] * (n - 1))),
        "twice": pl.concat([train, train.head(2)]),
        "lists": lists,
        "unknown": lists.with_columns(item_id=pl.col("item_id").replace(3, 99)),
        "gapped": lists.with_columns(rank=pl.col("rank") * 2),
        "items": pl.DataFrame({"item_id": range(4), "genre": list("abab")}),
    }.items():
        table.write_csv(f"{name}.csv")
    assert main(["audit", "lists.csv", "train.csv", "-k", "2", "-o", "audit.json"]) == 0
    typed = [*shlex.split(command), *["-k", "2"] * command.startswith("audit")]
    assert main(typed) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "polars" not in said.lower() and "frame" not in said and ". leave" not in said
    flag, value = [*shlex.split(cure), ""][:2] if cure else ("", "")
    assert (flag in said or flag in typed) and value.replace("@2", "@10") in said
    if flag in typed:
        typed[typed.index(flag) + 1] = value
    elif cure:
        typed += shlex.split(cure)
    else:
        typed.remove("--as-of-event")
    assert main(typed) == 0


def test_percentages_and_lists_in_text_are_read(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.csv").write_text("user,item,rating\n1,7,80%\n1,8,90.5%\n2,7,3%\n")
    assert main(["data", "train.csv", "--to", "out.csv", "--min-rating", "50"]) == 0
    assert data.read_table("out.csv")["rating"].to_list() == [80, 90.5]
    (tmp_path / "baskets.csv").write_text("user,item\n1,7 8 9\n2,7 3\n")
    assert main(["data", "baskets.csv", "--to", "out.csv"]) == 0
    assert data.read_table("out.csv").rows() == [(1, 7), (1, 8), (1, 9), (2, 7), (2, 3)]
    (tmp_path / "dates.csv").write_text("user,item,when\n1,7,03.04.2020\n2,8,05.04.2020\n")
    typed = ["data", "dates.csv", "--to", "out.csv", "--timestamp", "when", "--time-format"]
    assert main([*typed, "%d.%m.%Y"]) == 0
    assert data.read_table("out.csv")["timestamp"].to_list() == [1585872000, 1586044800]
    assert main([*typed, "%m-%d-%Y"]) == 2
    assert "--time-format %m-%d-%Y does not fit '03.04.2020'" in " ".join(capsys.readouterr().err.split())
    assert main(["data", "dates.csv", "--drop", "whenn"]) == 0
    assert "dates.csv has no column 'whenn' to leave out" in " ".join(capsys.readouterr().err.split())


def test_ids_of_lines_are_those_that_a_table_would_have(tmp_path):
    for lines, ids in ((["7", "12"], [7, 12]), (["007", "012"], ["007", "012"]), (["a", "1"], ["a", "1"])):
        (tmp_path / "ids.txt").write_text("\n".join(lines))
        (tmp_path / "ids.csv").write_text("\n".join(["item_id", *lines]))
        found = [Tables().ids(tmp_path / name, "item_id") for name in ("ids.txt", "ids.csv")]
        assert found == [ids, ids]
