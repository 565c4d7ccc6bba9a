import os

import pytest

from headtail._files import atomic_file, atomic_folder, check_writable, write_text
from headtail.exceptions import UnreadableFileError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


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
