import bz2
import codecs
import csv
import gzip
import io
import logging

import polars as pl
import pytest
from hypothesis import example, given, strategies as st

from headtail.data import Interactions, read_interactions, read_table, text_files, write_interactions, write_table
from headtail.exceptions import InvalidInputError, MissingColumnError, UnreadableFileError

HOSTILE = st.lists(
    st.sampled_from(['"', "\t", ",", ";", "|", "\n", "\r", "a", "b", " ", "ü", "1", "'", "\\", "\0", "\u2028"]),
    min_size=1,
).map(lambda letters: "x" + "".join(letters))
ROWS = {"user_id": [2, 1, 1], "item_id": ["b", "a", "c"], "rating": [4.5, 3.0, 1.0], "timestamp": [30, 20, 10]}


@pytest.fixture
def whole():
    return Interactions.from_frame(pl.DataFrame(ROWS), titles={"a": 'A "first"\tone', "b": "B, or b"})


class TestReadTable:
    def read(self, tmp_path, text, name="table.csv"):
        path = tmp_path / name
        data = text if isinstance(text, bytes) else text.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return read_table(path)

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("table.csv", "u,i\n1,a\n2,b\n"),
            ("table.CSV", "u,i\r\n1,a\r\n2,b\r\n"),
            ("table.csv", "\ufeffu,i\n1,a\n2,b"),
            ("table.csv", 'u;i\n1;"a"\n2;b\n'),
            ("table.csv", "u,i\n\n1,a\n\n2,b\n\n"),
            ("table.tsv", "u\ti\n1\ta\n2\tb\n"),
            ("table.txt", "u\ti\n1\ta\n2\tb\n"),
            ("table.txt", "u|i\n1|a\n2|b\n"),
            ("table.csv.gz", "u,i\n1,a\n2,b\n"),
            ("table.inter", "u:token\ti:token\n1\ta\n2\tb\n"),
            ("table.inter.gz", "u:token\ti:token\n1\ta\n2\tb\n"),
            ("table.csv", "u,i\r1,a\r2,b\r"),
            ("table.csv", 'u,i\r1,"a"\r2,b'),
            ("table.csv", "\n\nu, i\n1,a\n2,b\n"),
            ("table.csv", "u,i\n1,a\n2,b\n".encode("utf-16")),
            ("table.txt", "u\ti\r\n1\ta\r\n2\tb\r\n".encode("utf-16")),
            ("table.csv.gz", codecs.BOM_UTF16_BE + "u,i\n1,a\n2,b\n".encode("utf-16-be")),
            ("table.csv", "u,i\n1,a\n2,b\n".encode("utf-32")),
            ("table.jsonl", '{"u":1,"i":"a"}\n{"u":2,"i":"b"}\n'.encode("utf-16")),
            ("table.json.gz", '[{"u":1,"i":"a"},{"u":2,"i":"b"}]'.encode("utf-32")),
            ("table.tsv", '\ufeff"u"\t"i"\n1\t"a"\n2\t"b"\n'),
        ],
    )
    def test_forms(self, tmp_path, name, text):
        table = self.read(tmp_path, text, name)
        assert table.columns == ["u", "i"]
        assert table.rows() == [(1, "a"), (2, "b")]

    def test_parquet(self, tmp_path):
        path = tmp_path / "table [1].parquet"  # brackets mean something to those who expand patterns
        pl.DataFrame(ROWS).write_parquet(path)
        assert read_table(path).equals(pl.DataFrame(ROWS))

    def test_brackets_in_the_name(self, tmp_path):
        assert self.read(tmp_path, "u,i\n1,a\n", "table [1]*.csv").rows() == [(1, "a")]

    @pytest.mark.parametrize(
        ("values", "read"),
        [
            (["1", "-2"], [1, -2]),
            (["007", "12"], ["007", "12"]),
            (["0", "00"], ["0", "00"]),
            (["+5", "6"], ["+5", "6"]),
            (["9223372036854775808", "1"], ["9223372036854775808", "1"]),
            (["12e4", "3e5"], ["12e4", "3e5"]),
            (["1.23E+11", "750"], ["1.23E+11", "750"]),
            (["1e+05", "1.25e-07"], [1e5, 1.25e-7]),
            (["1e-05", "0.5"], [1e-05, 0.5]),
            (["1.5", "2"], [1.5, 2.0]),
            (["0.5", "-0.5"], [0.5, -0.5]),
            (["01.5", "2.5"], ["01.5", "2.5"]),
            (["1", "x"], ["1", "x"]),
            (["1", " 2"], ["1", " 2"]),
            (["1", ""], [1, None]),
            (["1.5", "nan"], [1.5, pytest.approx(float("nan"), nan_ok=True)]),
            (["2020-01-01", "2020-01-02"], ["2020-01-01", "2020-01-02"]),
            (["1", '""'], [1, None]),
            (["1", "NULL"], [1, None]),
            ([r"\N", "-3"], [None, -3]),
            (["1.5", "NA", "<NA>"], [1.5, None, None]),
            (["1", *["2"] * 200, "None"], [1, *[2] * 200, None]),
            (["007", "NULL"], ["007", "NULL"]),
            (["a", "NULL"], ["a", "NULL"]),
            (["1", "NULL", "x"], ["1", "NULL", "x"]),
        ],
    )
    @pytest.mark.parametrize("few_from", [0, 10_000])  # rows from which on each value is looked at once
    def test_numbers_only_where_nothing_is_lost(self, tmp_path, monkeypatch, values, read, few_from):
        monkeypatch.setattr(text_files, "_SAMPLE", few_from)
        rows = "".join(f"{value},x\n" for value in values)
        assert self.read(tmp_path, f"id,other\n{rows}")["id"].to_list() == read

    @given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
    def test_any_whole_numbers(self, tmp_path_factory, numbers):
        path = tmp_path_factory.mktemp("numbers") / "table.csv"
        path.write_text("id,x\n" + "".join(f"{number},1\n" for number in numbers))
        assert read_table(path)["id"].to_list() == numbers

    @pytest.mark.parametrize("late", ["007", "+5", " 6", "6 ", "-0", "x", "9223372036854775808", "1.5"])
    def test_one_late_value_that_is_no_plain_number_keeps_the_text(self, tmp_path, late):
        values = [str(n) for n in range(150)] + [late]
        table = self.read(tmp_path, "id,other\n" + "".join(f"{value},7\n" for value in values))
        assert table["id"].cast(pl.String).to_list() == (
            values if late != "1.5" else [f"{float(value)}" for value in values]
        )
        assert table["other"].to_list() == [7] * 151

    @pytest.mark.parametrize("ends", ["\n", "\r\n"])
    @pytest.mark.parametrize("last", [True, False])
    @pytest.mark.parametrize("gap", ["", "\n"])
    def test_long_files_of_whole_numbers(self, tmp_path, ends, last, gap):
        rows = [(n, -(10**n), None if n == 12 else n) for n in range(18)] * 10
        text = "a,b,c\n" + "\n".join(",".join("" if v is None else str(v) for v in row) for row in rows) + gap
        table = self.read(tmp_path, (text + "\n" * last).replace("\n", ends))
        assert table.dtypes == [pl.Int64] * 3
        assert table.rows() == rows

    @pytest.mark.parametrize(
        ("lines", "read"),
        [
            # Polars alone would make one row of the first three lines; Last.fm and MIND have such titles.
            (['1\t"abba', "2\tmuse", '3\tcher"', "4\tdido"], ['"abba', "muse", 'cher"', "dido"]),
            (['1\t"Heroes" and more', "2\tb"], ['"Heroes" and more', "b"]),
            (['1\t5" disc', "2\tb"], ['5" disc', "b"]),
            (['1\t"a "" b"', "2\tb"], ['a " b', "b"]),
            (['1\t"a', "2\tb"], ['"a', "b"]),
            (["1\tb", '2\t"a'], ["b", '"a']),
        ],
    )
    def test_quotes_between_tabs_are_text_unless_all_of_them_enclose_fields(self, tmp_path, lines, read):
        for end in ("", "\n"):
            for name in ("x.tsv", "x.txt", "x.csv"):
                table = self.read(tmp_path, "u\ti\n" + "\n".join(lines) + end, name)
                assert table["i"].to_list() == read
                assert table["u"].to_list() == [*range(1, len(lines) + 1)]

    def test_quotes_between_tabs_count_where_the_names_are_quoted(self, tmp_path):
        table = self.read(tmp_path, '"u"\t"i"\n1\t"a\nb"\n2\t"c\td"\n', "x.tsv")
        assert table.rows() == [(1, "a\nb"), (2, "c\td")]

    def test_quotes_within_fields_without_quotes_are_text(self, tmp_path):
        rows = '1,5" disc\n2,b\n3,7" single\n4,c\n'
        assert self.read(tmp_path, f"u,i\n{rows}")["i"].to_list() == ['5" disc', "b", '7" single', "c"]
        assert self.read(tmp_path, 'u,i\n1,a "b" c\n2,"d"\n')["i"].to_list() == ['a "b" c', "d"]

    @given(
        pieces=st.lists(
            st.sampled_from(['"', '"a', 'b"', '""', "SEP", "END", "1", "é ", '"x"']), min_size=1, max_size=20
        ),
        separator=st.sampled_from(",;\t"),
        end=st.sampled_from(["\n", "\r\n", "\r"]),
    )
    @example(pieces=['"', "END", '"'], separator=",", end="\n")  # blank text in a column of its own is nothing
    def test_quotes_mean_what_they_mean_to_python_or_are_refused(self, tmp_path_factory, pieces, separator, end):
        text = "".join(["uSEPiSEPcEND", *pieces]).replace("SEP", separator).replace("END", end)
        path = tmp_path_factory.mktemp("quotes") / "x.csv"
        path.write_bytes(text.encode())
        try:
            table = read_table(path)
        except UnreadableFileError:
            return

        def rows_of(lines):
            return [tuple(field if field and field.strip() else None for field in line) for line in lines]

        readings = []
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE)[: 1 + (separator == "\t")]:
            lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quoting))[1:]
            padded = [[*line, "", "", ""][:3] for line in lines if any(line)]
            readings.append(rows_of(padded))
        assert rows_of(table.with_columns(pl.all().cast(pl.String)).rows()) in readings

    @pytest.mark.parametrize("rows", ['1,"a', '1,"a\n2,b\n', '1,"a"b\n', '1,"a"b"\n2,c\n', '1,b\n2,"a" \n'])
    def test_quotes_that_do_not_pair_are_refused(self, tmp_path, rows):
        with pytest.raises(UnreadableFileError, match=r"the quotes do not pair, first in line [23]"):
            self.read(tmp_path, f"u,i\n{rows}")

    def test_recbole_types(self, tmp_path):
        header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\ttitle:token_seq\tplain\n"
        table = self.read(tmp_path, f"{header}1\t1.0\t1e1\t1E9\t1984\t007\n2\t2.0\t4\t978302109\t1979\t8\n", "x.inter")
        assert table.rows() == [(1, "1.0", 10.0, 1e9, "1984", "007"), (2, "2.0", 4.0, 978302109.0, "1979", "8")]
        assert self.read(tmp_path, "timestamp:float\tx:float\n00978\t3\n12\t4\n", "x.inter").rows() == [
            (978, 3),
            (12, 4),
        ]
        assert self.read(tmp_path, "x:float\ty:token\n1e1\t1\nNA\t2\n", "x.inter").rows() == [(10.0, 1), (None, 2)]
        with pytest.raises(InvalidInputError, match=r"'rating' is float, but it holds 'good'"):
            self.read(tmp_path, "rating:float\nx\n".replace("x", "good"), "x.inter")

    def test_quotes_belong_to_the_text_of_atomic_files(self, tmp_path):
        assert self.read(tmp_path, 'i:token\tt:token_seq\n1\tthe "one\n', "x.item").rows() == [(1, 'the "one')]

    @pytest.mark.parametrize(
        ("name", "data", "message"),
        [
            ("empty.csv", b"", "it is empty"),
            ("empty.parquet", b"", "it is empty"),
            ("empty.trec", b"", "it is empty"),
            ("empty.npz", b"", "it is empty"),
            ("marked.csv", b"\xef\xbb\xbf\r\n", "it is empty"),
            ("blanks.csv", b"\n \t\n", "it is empty"),
            ("blank.jsonl", b"\n\n", "it is empty"),
            ("run.trec", b"1 Q0 a 1 2.5 mine\n1 Q0 b 2 NaN mine\n", "the score is NaN in the line '1 Q0 b 2 NaN mine'"),
            ("cut.parquet", b"PAR1 and no more", r"Cannot read .*cut.parquet: .*Read it again"),
            ("ragged.csv", b"u,i\n1,2,3\n", "A line has more fields than the first line has names"),
            ("latin.csv", "u,i\n1,é\n".encode("latin-1"), "Save it as UTF-8"),
            ("latin.csv", "u,é\n1,2\n".encode("latin-1"), "Save it as UTF-8"),
            ("cut.csv", "u,i\n1,é\n".encode("utf-16")[:-1], "Save it as UTF-8"),
            ("unmarked.csv", "u,i\n1,2\n".encode("utf-16-le"), "first line holds NUL.*Save it as UTF-8"),
            ("blank.csv", b"\n\r\n\n", "it is empty"),
            ("mixed.csv", b"u,i\r1,2\n3,4\n", "some of its lines end in CR and some in LF"),
            ("stray.csv", b"u,i\n1,2\n3,a\rb\n", "some of its lines end in CR and some in LF"),
            ("doubled.csv", b"u,i\r\n1,a\r\r\n2,b\r\r\n", "some of its lines end in CR and some in LF"),
            ("letters.csv", b"a" * 200_000, "holds 200000 characters without a separator"),
            ("letters.csv", b'"' + b"a" * 200_000 + b'"', "field larger than field limit"),
            ("latin.csv", 'u,i\n1,"é"\n'.encode("latin-1"), "Save it as UTF-8"),
            ("names.csv", b'"a\nb",c\n1,2\n', "its lines have 2 fields, but 1 name"),
            ("junk.csv.gz", gzip.compress(b"\xb8\xff\n", mtime=0), "Save it as UTF-8"),
            ("zipped.csv", b"PK\3\4\x14\0", "an archive or a workbook; unpack it"),
            ("table.csv", b"PAR1\x15\0", "not text but Parquet; give it that ending"),
            ("table.csv.lz4", b"\x04\x22M\x18", "the ending '.lz4' is not one of .*Unpack it"),
            ("cut.csv.bz2", bz2.compress(b"u,i\n1,2\n")[:-5], "Read it again from its source"),
            ("cut.jsonl", b'{"u": 1}\n{"u": 2', "Each line must be an object of JSON"),
            ("python.json", b"{'u': 1}\n", "Its lines are Python's"),
            ("table.arrow", b"u,i\n1,2\n", "Cannot read .*table.arrow"),
            ("text.parquet", b"u,i\n1,2\n", "leave out columns of types that Polars does not know"),
            (
                "shop.db",
                b"SQLite format 3\0",
                r"it is a database\..*polars\.read_database\('SELECT \* FROM NAME', sqlite3\.",
            ),
            ("shop.duckdb", bytes(8) + b"DUCK", r"import duckdb; duckdb\.connect\(.*\)\.sql\('FROM NAME'\)"),
            ("x.xlsx", b"PK", r"the ending '.xlsx' is not one of .csv"),
            ("x", b"u,i\n", "the ending '' is not one of"),
        ],
    )
    def test_bad_files(self, tmp_path, name, data, message):
        with pytest.raises(UnreadableFileError, match=message):
            self.read(tmp_path, data, name)

    def test_truncated_parquet(self, tmp_path):
        path = tmp_path / "table.parquet"
        pl.DataFrame(ROWS).write_parquet(path)
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(UnreadableFileError, match="Read it again from its source"):
            read_interactions(path)

    def test_truncated_gzip(self, tmp_path):
        path = tmp_path / "table.csv.gz"
        path.write_bytes(gzip.compress(b"u,i\n" + b"1,2\n" * 1000)[:-12])
        with pytest.raises(UnreadableFileError, match="Read it again from its source"):
            read_table(path)

    @pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
    @pytest.mark.parametrize("name", ["table.csv", "table.csv.gz", "table.csv.bz2"])
    def test_compression_is_told_by_the_first_bytes(self, tmp_path, name, pack):
        (tmp_path / name).write_bytes(pack(b"u,i\n1,2\n"))
        assert read_table(tmp_path / name).rows() == [(1, 2)]

    def test_movielens(self, tmp_path):
        (tmp_path / "ratings.dat").write_text("1::1193::5::978300760\n2::661::3::978302109\n")
        names = ["user_id", "item_id", "rating", "timestamp"]
        assert read_table(tmp_path / "ratings.dat", names=names).rows()[1] == (2, 661, 3, 978302109)
        (tmp_path / "u.data").write_text("196\t242\t3\t881250949\n")
        assert read_table(tmp_path / "u.data", names=names).rows() == [(196, 242, 3, 881250949)]
        (tmp_path / "named.csv").write_text("user_id::item_id\n1::1193\n2::661\n")
        assert read_table(tmp_path / "named.csv").rows() == [(1, 1193), (2, 661)]
        (tmp_path / "text.csv").write_text("user_id,item_id\n1,std::map\n")
        assert read_table(tmp_path / "text.csv").rows() == [(1, "std::map")]
        (tmp_path / "artists.dat").write_text("userID\tartistID\tname\n2\t51\tA::B\n")
        assert read_table(tmp_path / "artists.dat").rows() == [(2, 51, "A::B")]

    @pytest.mark.parametrize("name", ["x.jsonl", "x.ndjson", "x.json", "x.json.gz"])
    @pytest.mark.parametrize("layout", ["%s\n%s\n", "\ufeff%s\n\n%s", "[%s, %s]"])
    def test_json(self, tmp_path, name, layout):
        if name in ("x.jsonl", "x.ndjson") and layout.startswith("["):
            layout = "%s\r\n%s"
        text = layout % ('{"reviewerID": "A1", "asin": "007", "overall": 5.0}', '{"reviewerID": "A2", "asin": "7"}')
        data = text.encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        assert read_table(tmp_path / name).rows() == [("A1", "007", 5.0), ("A2", "7", None)]

    def test_arrow(self, tmp_path):
        pl.DataFrame(ROWS).write_ipc(tmp_path / "x.feather")
        assert read_table(tmp_path / "x.feather").equals(pl.DataFrame(ROWS))
        pl.DataFrame(ROWS).write_ipc_stream(tmp_path / "x.arrow")
        assert read_table(tmp_path / "x.arrow").equals(pl.DataFrame(ROWS))
        (tmp_path / "x.arrow").write_bytes(b"ARROW2, and no more")
        with pytest.raises(UnreadableFileError, match="Cannot read"):
            read_table(tmp_path / "x.arrow")

    def test_a_rating_that_is_no_number_is_shown(self, tmp_path):
        (tmp_path / "x.csv").write_text("user;item;rating\n1;2;4/5\n")
        with pytest.raises(InvalidInputError, match="String in 'rating', for example '4/5'; it must be numbers"):
            read_interactions(tmp_path / "x.csv")

    def test_doubled_column(self, tmp_path):
        with pytest.raises(InvalidInputError, match="has the column 'u' more than once"):
            self.read(tmp_path, "u,i,u\n1,2,3\n")

    def test_no_header(self, tmp_path):
        with pytest.raises(InvalidInputError, match=r"first line .* holds data \(1, 7, 7, 4.5\).*Add a first line"):
            self.read(tmp_path, "1,7,7,4.5\n2,7,3,4.0\n")

    @pytest.mark.parametrize(
        ("name", "rows"),
        [
            ("x.csv", ["A1X,0001713353,5.0,1123804800", "A2Y,0001713353,4.0,1123804801"]),
            ("x.csv", ["u1,i1,2020-01-01 10:00", "u2,i1,2020-01-02 10:00"]),
            ("x.csv", ["u1,i1", "u1,i2", "u2,i1"]),
            ("x.tsv", ["anna\tb1", "bert\tb1"]),
            ("x.csv.gz", ["A1X,B1,1e9", "A2X,B1,2e9"]),
            ("x.inter", ["a\tb\t5.0", "a\tc\t4.0"]),
        ],
    )
    def test_a_first_line_of_data_is_never_lost(self, tmp_path, name, rows):
        text = "\n".join(rows)
        with pytest.raises(InvalidInputError, match=r"first line .* holds data .*give names=\[...\]"):
            self.read(tmp_path, text, name)
        names = ["user_id", "item_id", "c", "d"][: len(rows[0].split("\t" if "\t" in text else ","))]
        table = read_table(tmp_path / name, names=names)
        assert table.columns == names
        assert len(table) == len(rows)
        assert len(read_interactions(tmp_path / name, names=names)) == len(rows)

    def test_a_first_line_of_data_with_blanks(self, tmp_path):
        with pytest.raises(UnreadableFileError, match="blanks separate the fields"):
            self.read(tmp_path, "1 10 5\n1 20 4\n", "x.txt")

    def test_blanks_around_names_are_around_values_too(self, tmp_path):
        path = tmp_path / "clicks.csv"
        path.write_text("user, item, rating ,note\n1, 007, 4.5 , a\n2, b, 3 ,b\n")
        assert read_table(path).rows() == [(1, "007", 4.5, " a"), (2, "b", 3.0, "b")]
        path.write_text('user, item\n1, 2\n3,\n"5", 6\n')
        assert read_table(path).rows() == [(1, 2), (3, None), (5, 6)]

    def test_given_names(self, tmp_path):
        path = tmp_path / "x.csv"
        path.write_text('1,"a, b"\n2,c\n')
        assert read_table(path, names=["n", "t"]).rows() == [(1, "a, b"), (2, "c")]
        with pytest.raises(InvalidInputError, match=r"holds 1 name, but the first line of .* has 2 fields"):
            read_table(path, names=["n"])
        with pytest.raises(InvalidInputError, match="the column 'n' more than once"):
            read_table(path, names=["n", "n"])
        path.write_text("user_id,item_id\n1,2\n")
        with pytest.raises(InvalidInputError, match=r"holds the names of the columns. Leave out names="):
            read_table(path, names=["user_id", "item_id"])
        pl.DataFrame(ROWS).write_parquet(tmp_path / "x.parquet")
        with pytest.raises(InvalidInputError, match="has names of its own"):
            read_table(tmp_path / "x.parquet", names=["n"])

    def test_a_first_line_that_comes_twice(self, tmp_path):
        with pytest.raises(InvalidInputError, match="stands in it again, as after two files were joined"):
            self.read(tmp_path, "user_id,item_id\n1,2\nuser_id,item_id\n3,4\n")

    def test_names_that_are_numbers_beside_one_that_is_known(self, tmp_path):
        assert self.read(tmp_path, "user_id,1990,1991\n1,2,3\n").columns == ["user_id", "1990", "1991"]

    @pytest.mark.parametrize("path", ["x" * 5000 + ".csv", "a\0.csv", "\ud800.csv"])
    def test_paths_that_cannot_be(self, path):
        with pytest.raises(UnreadableFileError, match=r"No file can have this path: .* Give another path"):
            read_table(path)
        with pytest.raises(InvalidInputError, match="None is not a path"):
            read_table(None)

    def test_missing_file_names_its_neighbours(self, tmp_path):
        (tmp_path / "interactions.csv").write_text("u,i\n")
        with pytest.raises(UnreadableFileError, match=r"There is no file .*Did you mean 'interactions.csv'"):
            read_table(tmp_path / "interaction.csv")
        with pytest.raises(UnreadableFileError, match=r"has a name like it; there is 'interactions.csv'\."):
            read_table(tmp_path / "zzz.parquet")
        with pytest.raises(UnreadableFileError, match="nor the folder"):
            read_table(tmp_path / "absent" / "interactions.csv")

    def test_folder(self, tmp_path):
        with pytest.raises(UnreadableFileError, match="it is a folder"):
            read_table(tmp_path)


class TestReadInteractions:
    def test_usual_names_and_parameters(self, tmp_path, caplog):
        path = tmp_path / "ratings.csv"
        path.write_text("userId,movieId,rating,timestamp\n1,10,4.0,100\n1,20,2.0,200\n2,10,5.0,300\n")
        titles = tmp_path / "movies.csv"
        titles.write_text('movieId,title,genres\n10,"Ten, the (1979)",Comedy\n')
        with caplog.at_level(logging.INFO, logger="headtail"):
            whole = read_interactions(path, titles=titles, min_rating=3)
        assert whole.to_polars().rows() == [(1, 10, 4.0, 100), (2, 10, 5.0, 300)]
        assert whole.item_titles.tolist() == ["Ten, the (1979)"]
        assert "interactions: read 'userId' as user_id, 'movieId' as item_id" in caplog.messages

    def test_named_columns(self, tmp_path):
        path = tmp_path / "log.tsv"
        path.write_text("who\twhat\n1\t10\n")
        assert read_interactions(path, user="who", item="what").to_polars().rows() == [(1, 10)]
        with pytest.raises(MissingColumnError, match=r"There are: 'who', 'what'.* Give user=..."):
            read_interactions(path)

    def test_header_alone(self, tmp_path):
        path = tmp_path / "log.csv"
        path.write_text("user_id,item_id\n")
        with pytest.raises(InvalidInputError, match="has no rows"):
            read_interactions(path)

    def test_a_short_line_is_a_missing_value(self, tmp_path):
        path = tmp_path / "log.csv"
        path.write_text("user_id,item_id\n1,2\n1\n")
        with pytest.raises(InvalidInputError, match="1 missing value in 'item_id'"):
            read_interactions(path)

    @pytest.mark.parametrize("gap", ["", "NULL", "null", r"\N", "<NA>", "NA", "None", "nan", "NaN"])
    @pytest.mark.parametrize("others", [["1", "2"], ["a", "b"], ["007", "8"]])
    @pytest.mark.parametrize("ending", [".csv", ".tsv", ".inter"])
    def test_an_id_that_says_that_there_is_none_is_missing(self, tmp_path, gap, others, ending):
        rows = [["user_id", "item_id"], [others[0], "7"], [gap, "7"], [others[1], "8"]]
        path = tmp_path / f"log{ending}"
        path.write_text("".join(("," if ending == ".csv" else "\t").join(row) + "\n" for row in rows))
        with pytest.raises(InvalidInputError, match=r"1 missing value in 'user_id' \(user_id\)"):
            read_interactions(path)

    @pytest.mark.parametrize("gap", ["", "NULL", "nan"])
    def test_a_rating_that_is_missing(self, tmp_path, gap):
        path = tmp_path / "log.csv"
        path.write_text(f"user_id,item_id,rating\n1,2,3\n2,3,{gap}\n")
        with pytest.raises(InvalidInputError, match="rating"):
            read_interactions(path)

    def test_titles_of_recbole_are_found_beside(self, tmp_path):
        (tmp_path / "ml.inter").write_text("user_id:token\titem_id:token\trating:float\n1\t10\t4\n")
        (tmp_path / "ml.item").write_text("item_id:token\tmovie_title:token_seq\tclass:token_seq\n10\tTen\tComedy\n")
        whole = read_interactions(tmp_path / "ml.inter")
        assert whole.item_titles.tolist() == ["Ten"]
        assert whole.ratings.tolist() == [4.0]
        assert read_interactions(tmp_path / "ml.inter", titles={10: "X"}).item_titles.tolist() == ["X"]

    def test_recbole_items_without_titles(self, tmp_path):
        (tmp_path / "ml.inter").write_text("user_id:token\titem_id:token\n1\t10\n")
        (tmp_path / "ml.item").write_text("item_id:token\tyear:float\n10\t1979\n")
        assert read_interactions(tmp_path / "ml.inter").item_titles is None


class TestWrite:
    @pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.parquet", "x.inter"])
    def test_there_and_back(self, tmp_path, whole, name):
        path = write_interactions(whole, tmp_path / "deep" / name)
        again = read_interactions(path)
        assert again.to_polars().equals(whole.to_polars())
        blank = " " if name == "x.inter" else "\t"
        assert again.item_titles.tolist() == [f'A "first"{blank}one', "B, or b", "c"]

    @pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.parquet"])
    @given(ids=st.lists(HOSTILE, min_size=1, max_size=5, unique=True))
    def test_hostile_ids_there_and_back(self, tmp_path_factory, ids, name):
        path = tmp_path_factory.mktemp("hostile") / name
        whole = Interactions.from_frame(pl.DataFrame({"user_id": ids, "item_id": [f"i-{i}" for i in ids]}))
        again = read_interactions(write_interactions(whole, path))
        assert again.to_polars().equals(whole.to_polars())

    def test_tabs_without_quotes_where_none_are_needed(self, tmp_path):
        write_table(pl.DataFrame({"u": [1], "i": ["a, b"]}), tmp_path / "x.tsv")
        assert (tmp_path / "x.tsv").read_text() == "u\ti\n1\ta, b\n"

    def test_recbole_header(self, tmp_path, whole):
        path = write_interactions(whole, tmp_path / "x.inter")
        header, first = path.read_text().splitlines()[:2]
        assert header == "user_id:token\titem_id:token\trating:float\ttimestamp:float"
        assert first == "2\tb\t4.5\t30"
        assert path.with_suffix(".item").read_text().splitlines()[0] == "item_id:token\titem_title:token_seq"

    def test_no_titles_no_item_file(self, tmp_path):
        write_interactions(Interactions.from_frame(pl.DataFrame(ROWS)), tmp_path / "x.inter")
        assert [path.name for path in tmp_path.iterdir()] == ["x.inter"]

    @pytest.mark.parametrize("bad", ["a\tb", "a\nb"])
    def test_ids_that_recbole_cannot_hold(self, tmp_path, bad):
        whole = Interactions.from_frame(pl.DataFrame({"user_id": [1], "item_id": [bad]}))
        with pytest.raises(InvalidInputError, match=r"item_id .* holds a tab or a line break"):
            write_interactions(whole, tmp_path / "x.inter")
        assert read_interactions(write_interactions(whole, tmp_path / "x.csv")).item_ids.tolist() == [bad]

    def test_ending(self, tmp_path, whole):
        with pytest.raises(UnreadableFileError, match=r"'.json' is not one of .inter, .csv"):
            write_interactions(whole, tmp_path / "x.json")

    def test_unwritable(self, tmp_path, whole):
        (tmp_path / "file").write_text("")
        with pytest.raises(UnreadableFileError, match="is not a folder"):
            write_interactions(whole, tmp_path / "file" / "x.csv")


def test_a_word_among_numbers_is_noted(tmp_path, caplog):
    path = tmp_path / "gaps.csv"
    path.write_text("user_id,item_id\n1,10\n2,11\n-,11\n")
    assert read_table(path)["user_id"].to_list() == ["1", "2", "-"]
    assert "column 'user_id' holds '-' among numbers" in caplog.text
    for marker in ("none", "Null", " NULL ", "(null)"):
        path.write_text(f"user_id,item_id\n1,10\n{marker},11\n")
        with pytest.raises(InvalidInputError, match="1 missing value"):
            read_interactions(path)


def test_a_first_line_of_words_may_be_data(tmp_path):
    path = tmp_path / "likes.csv"
    path.write_text("alice,matrix\nbob,inception\n")
    with pytest.raises(MissingColumnError, match="If these are data, the table has no header"):
        read_interactions(path)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('{"1": ["a", "b"], "12": ["b"]}', [(1, "a"), (1, "b"), (12, "b")]),
        ('{"1": [7, 8],\n "012": [7]}\n', [("1", 7), ("1", 8), ("012", 7)]),
        ('{"1": {"7": 0.5, "8": 0.4},\n "2": {"8": 1}}', [(1, 7, 0.5), (1, 8, 0.4), (2, 8, 1)]),
        ('{"lists": {"1": [["a", 0.5], ["b", 1]]}}', [(1, "a", 0.5), (1, "b", 1)]),
        ('{"1": [{"item_id": "007", "score": 0.5}]}', [(1, "007", 0.5)]),
        ('{"user": {"0": 1, "1": 2}, "item": {"0": 7, "1": 8}}', [(1, 7), (2, 8)]),
        ('{"user": {"0": 1, "1": 2}, "item": {"1": 8, "0": 7}}', [(1, 7), (2, 8)]),
        ('{"user": [1, 2], "item": ["07", "8"]}', [(1, "07"), (2, "8")]),
        ('{"user": 1, "item": [7, 8]}', [(1, [7, 8])]),
        ('{"user": 1, "item": 7}\n{"user": 2, "item": 8}\n', [(1, 7), (2, 8)]),
        ('{"lists": [{"user": 1, "item": 7}]}', [([{"user": 1, "item": 7}],)]),
    ],
)
def test_json_of_one_object(text, rows, tmp_path):
    path = tmp_path / "lists.json"
    path.write_text(text)
    assert read_table(path).rows() == rows


@pytest.mark.parametrize(
    "text", ['{"1": ["a"], "2": ["b"], "1": ["c"]}', '{"1": ["a"],\n "1": ["c"]}', '{"x": {"1": 2, "1": 3}}']
)
def test_json_that_names_one_thing_twice_is_refused(text, tmp_path):
    path = tmp_path / "lists.json"
    path.write_text(text)
    with pytest.raises(UnreadableFileError, match=r"lists.json names '1' twice in one object"):
        read_table(path)


def test_columns_with_other_labels_are_refused(tmp_path):
    path = tmp_path / "columns.json"
    path.write_text('{"user": {"0": 1, "1": 2}, "item": {"0": 7, "2": 8}}')
    with pytest.raises(InvalidInputError, match="columns whose values have different labels"):
        read_table(path)


@pytest.mark.parametrize(
    "text",
    [
        "user,item\n1.23457E+11,7\n1.23457E+11,8\n",
        "user;item\n750;7\n1,23457E+11;8\n",
        "user,item\n2E+15,7\n",
        "user,item\n1.23456789012345E+15,7\n12,8\n",
    ],
)
def test_ids_that_a_spreadsheet_shortened_are_refused(text, tmp_path):
    path = tmp_path / "export.csv"
    path.write_text(text)
    with pytest.raises(
        InvalidInputError, match=r"ids in 'user' that a spreadsheet shortened, such as '[12]\S*E\+1[15]'"
    ):
        read_interactions(path)


def test_what_is_added_in_another_encoding_is_told(tmp_path, caplog):
    path = tmp_path / "log.csv"
    path.write_bytes(b"user,item\n1,7\n" + "2,8\n".encode("utf-16-le"))
    read_table(path)
    assert f"{path} holds NUL, as where UTF-16 was added to UTF-8. If so, save it as UTF-8 anew." in caplog.text


def test_byte_order_marks_inside_a_file_are_no_part_of_ids(tmp_path):
    path = tmp_path / "joined.csv"
    path.write_text("\ufeffuser,item\n1,7\n\ufeffuser,item\n2,8\n")
    with pytest.raises(UnreadableFileError, match="a byte order mark stands inside it"):
        read_table(path)
    path.write_text("\ufeff\ufeffuser,item\n1,7\n")
    assert read_table(path).columns == ["user", "item"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_blank_lines_take_no_memory(end, tmp_path, monkeypatch):
    path = tmp_path / "blank.csv"
    path.write_bytes((end * 300).join(["", "user,item", "1,a", "2,b", ""]).encode())
    read = []
    monkeypatch.setattr(
        pl, "read_csv", lambda *args, do=pl.read_csv, **options: read.append(do(*args, **options)) or read[-1]
    )
    assert read_table(path).rows() == [(1, "a"), (2, "b")]
    assert {len(table) for table in read} == {2}
    read.clear()
    path.write_bytes(("user,item" + end * 90 + '1,"a' + end * 90 + 'b"' + end + "2,b" + end + "3,c").encode())
    assert read_table(path).rows() == [(1, "a" + end * 90 + "b"), (2, "b"), (3, "c")]
    assert {len(table) for table in read} == {3}
