import errno
import os

import polars as pl
import pytest

from headtail._files import atomic_file, atomic_folder, check_writable, deliver, to_path, writing
from headtail.data import read_table, write_table
from headtail.exceptions import InvalidInputError, UnreadableFileError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write_text(path, text):
    return deliver(path, lambda: text)


def test_a_file_appears_whole_and_replaces_the_former(tmp_path):
    path = tmp_path / "deep" / "report.html"
    assert write_text(path, "one") == path
    write_text(str(path), "zwei ü")
    assert path.read_text(encoding="utf-8") == "zwei ü"
    assert names(path.parent) == ["report.html"]


def test_a_failure_leaves_the_former_file_and_nothing_else(tmp_path):
    path = tmp_path / "report.html"
    write_text(path, "one")
    with pytest.raises(RuntimeError, match="half way"), atomic_file(path) as temporary:
        temporary.write_text("tw")
        raise RuntimeError("half way")
    assert path.read_text() == "one"
    assert names(tmp_path) == ["report.html"]


def test_a_folder_appears_whole_and_replaces_the_former(tmp_path):
    path = tmp_path / "deep" / "model"
    for text in ("one", "two"):
        with atomic_folder(path) as temporary:
            (temporary / f"{text}.json").write_text(text)
    assert names(path) == ["two.json"]
    assert names(path.parent) == ["model"]


def test_a_failure_leaves_the_former_folder_and_nothing_else(tmp_path):
    path = tmp_path / "model"
    with atomic_folder(path) as temporary:
        (temporary / "one.json").write_text("one")
    with pytest.raises(RuntimeError, match="half way"), atomic_folder(path) as temporary:
        (temporary / "two.json").write_text("tw")
        raise RuntimeError("half way")
    assert names(path) == ["one.json"]
    assert names(tmp_path) == ["model"]


def test_errors_of_the_block_that_are_not_about_writing_pass_through(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "out.txt"):
        (tmp_path / "absent.txt").read_text()
    assert names(tmp_path) == []


def test_a_path_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnreadableFileError, match="is not a folder"):
        check_writable(tmp_path / "file" / "report.html")


def test_a_folder_is_no_file_and_a_file_no_folder(tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(UnreadableFileError, match=r"it is a folder. Give the path of a file"):
        write_text(tmp_path, "text")
    with (
        pytest.raises(UnreadableFileError, match=r"it is a file. Give the path of a folder"),
        atomic_folder(tmp_path / "file"),
    ):
        pass
    assert (tmp_path / "file").read_text() == "kept"


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(UnreadableFileError, match=r"File name too long. Give another path"):
        write_text(tmp_path / ("x" * 300), "text")


@pytest.mark.skipif(
    os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(UnreadableFileError, match=r"no permission"):
            write_text(tmp_path / "report.html", "text")
    finally:
        tmp_path.chmod(0o700)


def test_no_permission_is_said_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UnreadableFileError, match=r"no permission, or a read-only disk. Give a path"):
        check_writable(tmp_path / "report.html")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError("No space left on device (os error 28)"),  # from polars
        pl.exceptions.ComputeError("parquet: underlying IO error: No space left on device (os error 28)"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
@pytest.mark.parametrize("place", [atomic_file, atomic_folder])
def test_what_the_system_says_in_whichever_words(tmp_path, place, error):
    path = tmp_path / "new" / "deep" / "out"
    message = r"Cannot write .*out: No space left on device. Give another path or make room"
    with pytest.raises(UnreadableFileError, match=message), place(path):
        raise error
    assert names(tmp_path) == []


@pytest.mark.parametrize("place", [atomic_file, atomic_folder])
def test_a_folder_that_vanishes_under_the_work(tmp_path, place):
    path = tmp_path / "new" / "out"
    with pytest.raises(UnreadableFileError, match="No such file or directory"), place(path) as temporary:
        if temporary.exists():
            temporary.rmdir()
        temporary.parent.rmdir()
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file or directory", "somewhere/photo.jpg"),
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        OSError("cannot identify image file"),
        ValueError("nothing of the system"),
    ],
)
def test_errors_about_something_else_pass_through(tmp_path, error):
    with pytest.raises(type(error)) as raised, atomic_file(tmp_path / "out.npy"):
        raise error
    assert raised.value is error
    assert names(tmp_path) == []


def test_a_name_as_long_as_names_may_be(tmp_path):
    path = write_text(tmp_path / ("x" * 255), "text")
    assert path.read_text() == "text"


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "\udcff", "x" * 5000])
def test_paths_that_no_file_can_have(path):
    for door in (to_path, check_writable, lambda path: write_text(path, "text")):
        with pytest.raises(UnreadableFileError, match=r"No file can have this path: .* Give another path"):
            door(path)


@pytest.mark.parametrize("name", ["", "x.csv", "new/x.csv", "*.csv"])
def test_a_folder_that_may_not_be_entered(name, tmp_path, monkeypatch):
    locked, asked = tmp_path / "locked", os.stat

    def stat(path, **options):  # as for users other than root, whom no mode keeps out
        if str(path).startswith(f"{locked}{os.sep}"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return asked(path, **options)

    locked.mkdir(mode=0)
    monkeypatch.setattr(os, "stat", stat)
    for door in (to_path, check_writable, read_table):
        with pytest.raises(UnreadableFileError, match=r"Cannot reach '.*locked.*': Permission denied. Give another"):
            door(str(locked / name))


@pytest.mark.parametrize("path", [None, 5, b"name", ["name"]])
def test_what_is_no_path(path):
    with pytest.raises(InvalidInputError, match="is not a path"):
        to_path(path)


def test_a_circle_of_links(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(UnreadableFileError, match="Too many levels of symbolic links"):
        write_text(tmp_path / "a" / "out.txt", "text")


def test_a_link_stays_one(tmp_path):
    (tmp_path / "real.txt").write_text("one")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    write_text(tmp_path / "link.txt", "two")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "two"


def test_a_pipe_or_a_device_is_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for write in (
        lambda: write_text(tmp_path / "pipe.csv", "text"),
        lambda: write_table(pl.DataFrame({"a": [1]}), tmp_path / "pipe.csv"),
    ):
        with pytest.raises(UnreadableFileError, match=r"it is a device or a pipe"):
            write()
    assert (tmp_path / "pipe.csv").is_fifo()


def test_folders_that_no_lock_or_no_work_can_stand_beside(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, reason in (("x" * 255, "File name too long"), ("loop", "Too many levels of symbolic links")):
        with pytest.raises(UnreadableFileError, match=reason), writing(tmp_path / name):
            pass
    with pytest.raises(UnreadableFileError, match="no name of its own"), atomic_folder(tmp_path / "new" / ".."):
        pass


def test_what_killed_writers_left_is_removed_by_the_next_one(tmp_path):
    left, other = tmp_path / ".out.0123abcd.tmp", tmp_path / ".out.2.0123abcd.tmp"
    left.mkdir()
    (left / "part").write_text("x")
    (tmp_path / ".out.abcd0123.tmp").write_text("x")
    other.write_text("of another path")
    with writing(tmp_path / "out"):
        assert [*tmp_path.glob(".*.tmp")] == [other]
