"""Tables in several files, packed tables, and layouts that are no table."""

import gzip
import json
import lzma
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import scipy.io
from scipy import sparse

import headtail as ht
from headtail.cli import main
from headtail.data import read_interactions, read_table
from headtail.exceptions import InvalidInputError, UnreadableFileError

_UUID = "5b1c8c29-a9c8-4a0a-9c1f-0fcf1cbd1e6a"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _write(files):
    for name, content in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pl.DataFrame):
            content.write_parquet(name)
        else:
            Path(name).write_text(content)


def _rows(*rows):
    return pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row")


@pytest.mark.parametrize("path", ["t", "t/", "t/part-*.parquet", "t/**/*.parquet"])
def test_a_folder_as_spark_writes_it_is_one_table(path):
    _write({
        f"t/part-00010-{_UUID}-c000.snappy.parquet": _rows((3, 1)),
        f"t/part-00009-{_UUID}-c000.snappy.parquet": _rows((1, 2), (1, 3)),
        "t/_SUCCESS": "",
        "t/_committed_17": "{}",
        "t/.part-00009.crc": "x",
    })  # fmt: skip
    assert read_table(path).rows() == [(1, 2), (1, 3), (3, 1)]


def test_parts_are_in_the_order_of_their_numbers(caplog):
    _write({f"t/part.{i}.parquet": _rows((i, 0)) for i in (10, 9, 100, 1)})
    assert read_table("t")["user_id"].to_list() == [1, 9, 10, 100]
    assert "t: 4 files are read as one table, t/part.1.parquet to t/part.100.parquet." in caplog.text


def test_folders_of_partitions_are_columns():
    days = pl.DataFrame({"item_id": ["a", "b"], "date": ["2020-01-01", "2020-02-01"]})
    for user, name in {"7": "7", "x/y z": "x%2Fy z"}.items():
        for day in days["date"]:
            table = days.filter(pl.col("date") == day).select("item_id")
            _write({f"t/user={name}/date={day}/{user[0]}-0.parquet": table})
    expected = [("7", "a"), ("7", "b"), ("x/y z", "a"), ("x/y z", "b")]
    shutil.copytree("t", "named")
    for file in Path("named").rglob("*.parquet"):
        file.rename(file.with_name("00000000.parquet"))
    found = read_interactions("named")
    assert found.to_polars().select("user_id", "item_id").rows() == expected
    assert found.timestamps.tolist() == [1577836800, 1580515200] * 2
    with pytest.raises(UnreadableFileError, match="hardly parts of one table"):
        read_table("t")
    one_day = read_table("named/*/date=2020-01-*/*.parquet")
    assert one_day.columns == ["item_id", "user", "date"]
    assert len(one_day) == 2


def test_partitions_as_polars_writes_them_keep_ids_that_look_like_numbers():
    table = pl.DataFrame({"user_id": ["007", "7", None], "item_id": [1, 2, 3]})
    table.write_parquet(pl.PartitionBy("t", key="user_id", include_key=False))
    assert sorted(read_table("t").rows(), key=str) == [(1, "007"), (2, "7"), (3, None)]


def test_a_partition_of_numbers_is_one_of_numbers():
    _write({f"t/user={user}/x_0.parquet": pl.DataFrame({"item_id": [user]}) for user in (5, 12)})
    assert read_table("t").rows() == [(5, 5), (12, 12)]


def test_parts_of_text_are_typed_as_one_file_would_be():
    _write(
        {
            "a/part-0.csv": "user,item,rating\n1,2,4\n",
            "a/part-1.csv": "user,item,rating\nx7,2,4.5\n",
            "a/part-2.csv": "",
        }
    )
    assert read_table("a").rows() == [("1", 2, 4.0), ("x7", 2, 4.5)]
    _write({"b/part-0.csv": "user,item\n1.5,2\n", "b/part-1.csv": "user,item\nx7,2\n"})
    with pytest.raises(InvalidInputError, match=r"text in 'user' in part-1.csv and Float64 in part-0.csv"):
        read_table("b")
    _write({"d/part-0.csv": "user,item\n1.5,2\n", "d/part-1.csv": "user,item\n1234567890123456,2\n"})
    with pytest.raises(InvalidInputError, match=r"text in 'user' in part-1.csv and Float64 in part-0.csv"):
        read_table("d")
    _write({"c/part-0.csv": "1,2\n", "c/part-1.csv": "7,2\n"})
    assert read_table("c", names=["user", "item"]).rows() == [(1, 2), (7, 2)]
    assert main(["data", "c", "--columns", "user,item", "--to", "c.parquet"]) == 0
    assert read_table("c.parquet").rows() == [(1, 2), (7, 2)]


def test_text_and_numbers_do_not_mix_in_parquet():
    _write({"t/part-0.parquet": _rows((1, 1)), "t/part-1.parquet": _rows(("1", 1))})
    with pytest.raises(InvalidInputError, match=r"text in 'user_id' in part-1\.parquet and Int64 in part-0"):
        read_table("t")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"t/train.parquet": _rows((1, 1)), "t/test.parquet": _rows((1, 2))},
            "test.parquet', 'train.parquet'. are hardly",
        ),
        ({"t/train-0.csv": "a,b\n", "t/test-0.csv": "a,b\n"}, "hardly parts of one table"),
        ({"t/x-0.csv": "user,item\n1,2\n", "t/x-0.parquet": _rows((1, 1))}, "hardly parts of one table"),
        ({"t/_SUCCESS": "", "t/.x.parquet": _rows((1, 1))}, "it is a folder or pattern without files of a table"),
        ({"t/part-0.parquet": _rows((1, 1)), "t/_delta_log/0.json": "{}"}, "it is a Delta table"),
        ({"t/part-0.parquet": "PAR1 no"}, "part-0.parquet"),
        ({"t/part-0.csv": "a,b\n", "t/old/part-0.csv": "a,b\n"}, r"'old', 'part-0.csv'\) are hardly .*'t/\*\*/\*.csv'"),
        ({"t/part-0.parquet": _rows((1, 1)), "t/part-1.parquet": pl.DataFrame({"user_id": [[1]]})}, "do not fit"),
    ],
)
def test_what_is_no_table_in_parts_is_refused(files, message):
    _write(files)
    with pytest.raises(UnreadableFileError, match=message):
        read_table("t")


def test_an_audit_of_a_folder_is_evidence(capsys):
    lists = ht.Recommendations.from_frame(pl.DataFrame({"user_id": [1, 1, 2, 2], "item_id": [1, 2, 2, 3]})).to_polars()
    _write({"recs/part-0.parquet": lists[:2], "recs/part-1.parquet": lists[2:]})
    _write({"train/day=1/a.parquet": _rows((1, 3), (2, 1)), "train/day=2/a.parquet": _rows((2, 4), (1, 5))})
    _write({"items.csv": "item_id\n1\n2\n3\n4\n5\n"})
    line = ["audit", "recs", "train/*/*.parquet", "--catalogue", "items.csv", "-k", "2", "-o", "audit.json"]
    assert main(line) == 0
    files = json.loads(Path("audit.json").read_text())["provenance"]["files"]
    assert set(files) == {"recs", "train", "catalogue"}
    assert main(["audit", "--again", "audit.json"]) == 0
    Path("train/day=2").rename("train/day=3")  # another table, though its files are the same
    capsys.readouterr()
    assert main(["audit", "--again", "audit.json"]) == 1
    assert "train/*/*.parquet is another file than it was" in " ".join(capsys.readouterr().err.split())


def test_an_audit_of_a_data_set_in_a_folder_is_evidence(capsys):
    ratings = "".join(f"{user}::{item}::5::978300760\n" for user, item in ((1, 7), (2, 8)))
    _write(
        {
            "ml/ratings.dat": ratings,
            "ml/movies.dat": "7::Sabrina (1995)::Comedy\n",
            "recs.parquet": _rows((1, 8), (2, 7)),
        }
    )
    assert main(["audit", "recs.parquet", "movielens:ml", "-k", "1", "-o", "audit.json"]) == 0
    assert main(["audit", "--again", "audit.json"]) == 0
    Path("ml/ratings.dat").write_text(ratings.replace("::5::", "::4::"))
    capsys.readouterr()
    assert main(["audit", "--again", "audit.json"]) == 1
    assert "movielens:ml is another file than it was" in " ".join(capsys.readouterr().err.split())


def test_a_part_without_a_column_is_named(caplog):
    _write({"t/part-0.csv": "user,item,rating\n1,2,3\n", "t/part-1.csv": "user,item\n1,3\n"})
    assert read_table("t")["rating"].to_list() == [3, None]
    assert "t/part-1.csv has no column 'rating', as 1 of 2 files; all their values are missing." in caplog.text


def test_the_cure_for_lines_of_python_is_a_command_that_works():
    Path("reviews.json.gz").write_bytes(
        gzip.compress(b"{'user_id': 1, 'product_id': '7', 'early': False, 'text': \"it's\"}\n")
    )
    with pytest.raises(UnreadableFileError, match="Write them anew: ") as refused:
        read_table("reviews.json.gz")
    cure = str(refused.value).split("Write them anew: ")[1].replace("python -c", f"{sys.executable} -c")
    subprocess.run(cure, shell=True, check=True)
    assert read_interactions("reviews.jsonl").to_polars().rows() == [(1, "7")]


def test_correct_takes_lists_in_parts_and_names_a_source_that_is_missing(capsys):
    assert main(["correct", "model"]) == 2
    assert "There is no folder or file model" in capsys.readouterr().err
    _write({"lists/part-0.parquet": _rows((1, 1)), "lists/part-1.parquet": _rows((2, 2))})
    assert main(["correct", "lists"]) == 2
    assert "--train" in capsys.readouterr().err


def test_packed_text(monkeypatch):
    content = b"user,item\n007,1\n"
    with zipfile.ZipFile("clicks.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/clicks.csv", content)
        archive.writestr("__MACOSX/folder/._clicks.csv", b"\0")
    Path("clicks.csv.xz").write_bytes(lzma.compress(content))
    for name in ("clicks.zip", "clicks.csv.xz"):
        assert read_table(name).rows() == [("007", 1)]
    Path("clicks.csv.xz").write_bytes(lzma.compress(content)[:-9])
    with pytest.raises(UnreadableFileError, match="Read it again from its source"):
        read_table("clicks.csv.xz")
    pa.output_stream("clicks.csv.zst", compression="zstd").write(content)
    assert read_table("clicks.csv.zst").rows() == [("007", 1)]
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UnreadableFileError, match="zst takes pyarrow"):
        read_table("clicks.csv.zst")
    with zipfile.ZipFile("clicks.zip", "a") as archive:
        archive.writestr("titles.csv", b"item,title\n1,A\n")
    with pytest.raises(UnreadableFileError, match=r"the only file of a \.zip\). Unpack it"):
        read_table("clicks.zip")
    with zipfile.ZipFile("lists.zip", "w") as archive:
        _rows((1, 1)).write_parquet("x.parquet")
        archive.write("x.parquet")
    assert read_table("lists.zip").rows() == [(1, 1)]


def test_what_expands_to_fill_the_memory_is_refused_early(monkeypatch):
    content = b"user,item\n" + b"\n" * 30_000_000
    with zipfile.ZipFile("bomb.csv.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.csv", content)
    Path("bomb.csv.xz").write_bytes(lzma.compress(content, preset=0))
    monkeypatch.setattr("headtail.data.packed._LARGE", 1 << 20)
    for name in ("bomb.csv.zip", "bomb.csv.xz"):
        with pytest.raises(UnreadableFileError, match="expands to more than 200 times its size"):
            read_table(name)
    Path("wide.csv").write_bytes(b"," * 2_000_000)
    with pytest.raises(UnreadableFileError, match="first line holds 2,000,000 bytes"):
        read_table("wide.csv")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["3,5", "4", "NULL"], [3.5, 4.0, None]),
        (["-0,25", "1,125", "10"], [-0.25, 1.125, 10.0]),
        (["1,125", "2,000"], ["1,125", "2,000"]),  # a thousand and a bit, or one and a bit?
        (["3,5", "4.5"], ["3,5", "4.5"]),
        (["007,5", "8"], ["007,5", "8"]),
        (["1.000,5", "2"], ["1.000,5", "2"]),
    ],
)
def test_decimal_commas(values, expected, caplog):
    Path("t.csv").write_text("user;item;rating\n" + "".join(f"1;{i};{v}\n" for i, v in enumerate(values)))
    assert read_table("t.csv")["rating"].to_list() == expected
    assert ("'rating' are read as decimal commas" in caplog.text) == isinstance(expected[0], float)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_cure_for_netflix_is_a_command_that_works(end):
    lines = ["1:", "1488844,3,2005-09-06", "822109,5,2005-05-13", "12:", "885013,4,2005-10-19", ""]
    Path("combined data_1.txt").write_bytes(end.join(lines).encode())
    with pytest.raises(UnreadableFileError, match="Netflix's prize") as told:
        read_table("combined data_1.txt")
    subprocess.run(str(told.value).split("Make a table of it: ")[1], shell=True, check=True)
    assert read_table("ratings.csv").rows() == [
        (1, 1488844, 3, "2005-09-06"), (1, 822109, 5, "2005-05-13"), (12, 885013, 4, "2005-10-19"),
    ]  # fmt: skip


def test_the_cure_for_mind_is_a_line_that_works():
    Path("behaviors.tsv").write_text(
        "1\tU13740\t11/11/2019 9:05:58 AM\tN55189 N42782\tN55689-1 N35729-0\n"
        "2\tU91836\t11/12/2019 6:11:30 PM\t\tN20678-0 N9-1 N10-1\n3\tU1\t11/12/2019 6:11:31 PM\tN1\tN20678-0\n"
    )
    for names in (None, ["id", "user", "when", "history", "item"]):
        with pytest.raises(UnreadableFileError, match="MIND's behaviors") as told:
            read_table("behaviors.tsv", names=names)
    subprocess.run(str(told.value).split("Make clicks of it: ")[1], shell=True, check=True)
    clicks = ht.Interactions.from_frame(read_table("clicks.csv"))
    assert clicks.to_polars().rows() == [
        ("U13740", "N55689", 1573463158), ("U91836", "N9", 1573582290), ("U91836", "N10", 1573582290),
    ]  # fmt: skip


def test_streams_are_refused_with_the_cure(capsys):
    assert main(["audit", "-", "train.csv"]) == 2
    assert "Standard input and output (-) are not taken: give files." in capsys.readouterr().err
    os.mkfifo("pipe.csv")
    with pytest.raises(UnreadableFileError, match=r"it is a pipe or a device\. Save its content to a file first"):
        read_table("pipe.csv")


def test_a_first_line_for_excel_is_no_table():
    for mark in (b"", b"\xef\xbb\xbf"):
        Path("t.csv").write_bytes(mark + b"sep=;\r\nuser;item\r\n1;2,5\r\n")
        assert read_table("t.csv").rows() == [(1, 2.5)]


@pytest.mark.parametrize(
    ("text", "cure", "names", "expected"),
    [
        ("user   item  rating\n1      2    5\n1  3  4\n", 0, None, [(1, 2, 5), (1, 3, 4)]),
        ("# user item\n1.0 2.0\n", 0, None, [(1.0, 2.0)]),  # as numpy.savetxt marks a header
        ("old new\n8975 0\n9190 1\n", 0, None, [(8975, 0), (9190, 1)]),
        ("U894 P5 1.0\nU7 P4 1.0\nU7 P1 2.0\n", 0, "abc", [("U894", "P5", 1.0), ("U7", "P4", 1.0), ("U7", "P1", 2.0)]),
        ("1 1 2\t97\n1 3 4\t75\n", 0, "abcd", [(1, 1, 2, 97), (1, 3, 4, 75)]),
        ("0 5\n7 5\n", 1, None, [(0, 5), (7, 5)]),
        ("0 5 1\n7 5\n", 0, None, [(0, 5), (0, 1), (7, 5)]),  # as LightGCN's data sets are laid out
        ("2 5 9\n1 7\n3 5 7 8\n", 0, None, [(0, 5), (0, 9), (1, 7), (2, 5), (2, 7), (2, 8)]),  # as CiteULike's
    ],
)
def test_the_cures_for_blanks_are_commands_that_work(text, cure, names, expected):
    Path("the lists.txt").write_text(text)
    with pytest.raises(UnreadableFileError, match="blanks separate the fields") as told:
        read_table("the lists.txt")
    commands = re.findall(r"(?:awk|\(echo).*? > 'the lists\.table\.csv'", str(told.value))
    subprocess.run(commands[cure], shell=True, check=True)
    assert read_table("the lists.table.csv", names=names).rows() == expected


@pytest.mark.parametrize(
    ("name", "text", "problem", "expected"),
    [
        ("x.txt", "0 1:1 9:1\n1 3:1\n0 1:2\n1 1:1\n", "a user is the number of the line",
         [(0, 1, 1), (0, 9, 1), (1, 3, 1), (2, 1, 2), (3, 1, 1)]),
        ("x.svm", "4 1:1 9:1\n7 3:1\n8 1:2\n", "hold more than ids", [(4, 1, 1), (4, 9, 1), (7, 3, 1), (8, 1, 2)]),
        ("x.negative", "(0,25)\t1064\t174\n(1,133)\t1072\t31\n", "hold more than ids", [(0, 25), (1, 133)]),
        ("x.csv", ",0,1,2\n0,424,4076,993.0\n1,1311,1574,957.0\n", "pandas wrote numbers",
         [(424, 4076, 993.0), (1311, 1574, 957.0)]),
        ("x.csv", ";0;1;2\n0;424;4076;9,5\n", "pandas wrote numbers", [(424, 4076, 9.5)]),
        ("x.csv", ",0,1,2,3,4\n0,424,4076,9.5,7,1\n", "pandas wrote numbers", [(424, 4076, 9.5, 7, 1)]),
    ],
)  # fmt: skip
def test_the_cures_for_well_known_layouts_are_commands_that_work(name, text, problem, expected):
    Path(name).write_bytes(text.encode())
    with pytest.raises(UnreadableFileError, match=problem) as told:
        read_table(name)
    subprocess.run(re.search(r"(?:awk|\(echo) .*", str(told.value))[0], shell=True, check=True)
    assert read_table("x.table.csv").rows() == expected


@pytest.mark.parametrize(("name", "load"), [("x.mat", "loadmat"), ("x.pt", "torch.load"), ("x.pickle", "you trust it")])
def test_what_python_loads_is_for_python(name, load):
    Path(name).write_bytes(b"\x80\x02")
    with pytest.raises(UnreadableFileError, match=rf"Load it in Python \(.*{load}.* embeddings to headtail\.Vectors"):
        read_table(name)


@pytest.mark.parametrize("counts", ["", "2 4\n"])
def test_vectors_between_blanks_are_no_table(counts):
    Path("x.txt").write_text(counts + "a 0.1 -0.2 0.3 0.4\nb 0.2 0.1 0.3 1.4\n")
    with pytest.raises(UnreadableFileError, match=r"ids and vectors.*, as \.vec: cp x.txt x.vec"):
        read_table("x.txt")


def test_a_packed_text_of_an_unknown_ending_is_called_text():
    Path("x.rating.gz").write_bytes(gzip.compress(b"user\titem\n1\t2\n"))
    with pytest.raises(UnreadableFileError, match=r"the ending '\.rating'") as told:
        read_table("x.rating.gz")
    subprocess.run(str(told.value).split("call it so: ")[1], shell=True, check=True)
    assert read_table("x.rating.txt.gz").rows() == [(1, 2)]


def test_text_of_another_encoding_is_made_utf_8_where_it_lies():
    Path("folder").mkdir()
    Path("folder/x.csv").write_bytes("user,item\n1,Amélie\n".encode("latin-1"))
    with pytest.raises(UnreadableFileError, match="Save it as UTF-8") as told:
        read_table("folder/x.csv")
    subprocess.run(str(told.value).split("such as by: ")[1], shell=True, check=True)
    assert read_table("utf8-x.csv").rows() == [(1, "Amélie")]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("x.inter", "user_id:token item_id:token\n1 2\n", "blanks separate the fields of its lines, not tabs"),
        ("x.csv", "# made by hand\nuser_id,item_id\n1,2\n", "its first line seems to be a comment"),
        ("x.tsv", "# comment\nuser_id\titem_id\n1\t2\n", "its first line seems to be a comment"),
    ],
)
def test_the_cures_for_other_first_lines_are_commands_that_work(name, text, problem):
    Path(name).write_text(text)
    with pytest.raises(UnreadableFileError, match=problem) as told:
        read_table(name)
    subprocess.run(str(told.value).split(": ", 2)[2], shell=True, check=True)
    assert ht.read_interactions(name.replace(".", ".table.")).to_polars().rows() == [(1, 2)]


def test_names_behind_the_mark_of_a_comment():
    Path("x.csv").write_text("# user_id,item_id\n1,2\n")
    assert read_table("x.csv").columns == ["user_id", "item_id"]
    Path("x.csv").write_text("#id,item_id\n1,2\n")
    assert read_table("x.csv").columns == ["#id", "item_id"]


@pytest.mark.parametrize("name", ["x.inter", "x.tsv"])
def test_a_file_of_tabs_may_have_commas_instead(name):
    Path(name).write_text("user_id,item_id\n1,2\n")
    assert read_table(name).rows() == [(1, 2)]
    Path(name).write_text("item_id\nb\na,b\n")
    assert read_table(name)["item_id"].to_list() == ["b", "a,b"]


OF_OTHERS = {
    "run.trec": ("q1 Q0 d7 1 9.5 mine\nq1 Q0 d5 2 9.1 mine\n", [("q1", "d7", 9.5), ("q1", "d5", 9.1)]),
    "qrels.txt": ("q1 0 d7 2\nq2 0 d5 1\n", [("q1", "d7", 2), ("q2", "d5", 1)]),
    "fm.libfm": ("5 1:1 12:1\n3 2:1 12:1\n", [(1, 12, 5), (2, 12, 3)]),
    "their lists.svm": ("1 12:5 13:4\n2 12:3\n", [(1, 12, 5), (1, 13, 4), (2, 12, 3)]),
    "wide.tsv": ("u\ti\n1\t2\n".encode("utf-16-le"), [(1, 2)]),
    "noted.csv": ("# from the shop\nuser_id,item_id\n1,2\n", [(1, 2)]),
    "list.recs": ("user_id,item_id\n1,2\n", [(1, 2)]),
    "two columns.npz": ({"user_id": np.array([1, 2]), "item_id": np.array([5, 7])}, [(1, 5), (2, 7)]),
    "dense.npy": (np.array([[0, 5], [3, 0]]), [(0, 1, 5), (1, 0, 3)]),
    'it\'s "$(touch x)" `y`.npy': (np.array([[0, 5], [3, 0]]), [(0, 1, 5), (1, 0, 3)]),
    "sparse.npz": (sparse.csr_array([[0, 5], [3, 0]]), [(0, 1, 5), (1, 0, 3)]),
    "market.mtx": (sparse.coo_array([[0, 5], [3, 0]]), [(0, 1, 5), (1, 0, 3)]),
}


def _save(name, held):
    if name.endswith(".mtx"):
        scipy.io.mmwrite(name, held)
    elif sparse.issparse(held):
        sparse.save_npz(name, held)
    elif isinstance(held, dict):
        np.savez(name, **held)
    elif isinstance(held, np.ndarray):
        np.save(name, held)
    else:
        Path(name).write_bytes(held if isinstance(held, bytes) else held.encode())


@pytest.mark.parametrize("name", OF_OTHERS)
def test_the_cures_for_files_of_others_are_commands_that_work(name):
    held, expected = OF_OTHERS[name]
    _save(name, held)
    with pytest.raises(UnreadableFileError) as told:
        read_table(name)
    command = re.split(r"it: |by: |so: |out: ", str(told.value))[-1]
    python = shlex.quote(sys.executable)
    subprocess.run(command.replace("python -c", f"{python} -c"), shell=True, check=True)
    made = max((path for path in Path().iterdir() if path.name != name), key=lambda path: path.stat().st_mtime)
    assert read_table(made).rows() == expected


def test_a_folder_that_cannot_be_looked_into_is_refused(monkeypatch):
    _write({"t/day=1/part-0.csv": "user,item\n1,2\n", "t/day=2/part-0.csv": "user,item\n1,3\n"})
    scan = os.scandir

    def closed(path):
        if str(path).endswith("day=2"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(UnreadableFileError, match="Cannot read t/day=2: Permission denied"):
        read_table("t")
