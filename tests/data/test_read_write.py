import gzip
import logging

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headtail.data import Interactions, read_interactions, read_table, write_interactions
from headtail.exceptions import InvalidInputError, MissingColumnError, UnreadableFileError

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
            (["1e-05", "0.5"], [1e-05, 0.5]),
            (["1.5", "2"], [1.5, 2.0]),
            (["0.5", "-0.5"], [0.5, -0.5]),
            (["01.5", "2.5"], ["01.5", "2.5"]),
            (["1", "x"], ["1", "x"]),
            (["1", " 2"], ["1", " 2"]),
            (["1", ""], [1, None]),
            (["1.5", "nan"], [1.5, pytest.approx(float("nan"), nan_ok=True)]),
            (["2020-01-01", "2020-01-02"], ["2020-01-01", "2020-01-02"]),
        ],
    )
    def test_numbers_only_where_nothing_is_lost(self, tmp_path, values, read):
        rows = "".join(f"{value},x\n" for value in values)
        assert self.read(tmp_path, f"id,other\n{rows}")["id"].to_list() == read

    @given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
    def test_any_whole_numbers(self, tmp_path_factory, numbers):
        path = tmp_path_factory.mktemp("numbers") / "table.csv"
        path.write_text("id,x\n" + "".join(f"{number},1\n" for number in numbers))
        assert read_table(path)["id"].to_list() == numbers

    def test_quotes_belong_to_the_text_of_atomic_files(self, tmp_path):
        assert self.read(tmp_path, 'i:token\tt:token_seq\n1\tthe "one\n', "x.item").rows() == [(1, 'the "one')]

    @pytest.mark.parametrize(
        ("name", "data", "message"),
        [
            ("empty.csv", b"", "it is empty"),
            ("empty.parquet", b"", "it is empty"),
            ("cut.parquet", b"PAR1 and no more", r"Cannot read .*cut.parquet: .*Read it again from its source"),
            ("ragged.csv", b"u,i\n1,2,3\n", "A line has more fields than the first line has names"),
            ("latin.csv", "u,i\n1,é\n".encode("latin-1"), "Save it as UTF-8"),
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

    def test_text_that_only_claims_to_be_gzip(self, tmp_path):
        path = tmp_path / "table.csv.gz"
        path.write_bytes(b"u,i\n1,2\n")
        with pytest.raises(UnreadableFileError, match="Not a gzipped file"):
            read_table(path)

    def test_doubled_column(self, tmp_path):
        with pytest.raises(InvalidInputError, match="has the column 'u' more than once"):
            self.read(tmp_path, "u,i,u\n1,2,3\n")

    def test_no_header(self, tmp_path):
        with pytest.raises(InvalidInputError, match=r"first line .* holds data \(1, 7, 7, 4.5\).*Add a first line"):
            self.read(tmp_path, "1,7,7,4.5\n2,7,3,4.0\n")

    def test_missing_file_names_its_neighbours(self, tmp_path):
        (tmp_path / "interactions.csv").write_text("u,i\n")
        with pytest.raises(UnreadableFileError, match=r"There is no file .*Did you mean 'interactions.csv'"):
            read_table(tmp_path / "interaction.csv")
        with pytest.raises(UnreadableFileError, match="Nothing there has a name like it"):
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
        with pytest.raises(MissingColumnError, match=r"There are: who, what.* Name it, for example user='who'"):
            read_interactions(path)

    def test_header_alone(self, tmp_path):
        path = tmp_path / "log.csv"
        path.write_text("user_id,item_id\n")
        with pytest.raises(InvalidInputError, match="has no rows"):
            read_interactions(path)

    def test_a_short_line_is_a_missing_value(self, tmp_path):
        path = tmp_path / "log.csv"
        path.write_text("user_id,item_id\n1,2\n1\n")
        with pytest.raises(InvalidInputError, match="1 missing values in 'item_id'"):
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
