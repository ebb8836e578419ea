"""Files that are whole or absent, and locks that a killed process does not leave behind."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kerasrnn import files


def test_a_file_is_the_old_one_until_the_new_one_is_whole(tmp_path):
    file = tmp_path / "result.txt"
    file.write_text("old")
    with files.writing(file) as hidden:
        hidden.write_text("half")
        assert file.read_text() == "old"
        assert hidden.parent == file.parent
        assert hidden.name.startswith(files.HIDDEN)
        hidden.write_text("new")
    assert file.read_text() == "new"
    assert os.listdir(tmp_path) == ["result.txt"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_nothing_is_left_of_a_file_that_was_not_finished(tmp_path, error):
    def fail(path):
        path.write_text("half")
        raise error

    with pytest.raises(type(error)), files.writing(tmp_path / "result.txt") as hidden:
        fail(hidden)
    assert os.listdir(tmp_path) == []


def test_what_a_full_disk_says_names_the_file(tmp_path):
    with (
        pytest.raises(OSError, match="No space left") as raised,
        files.writing(tmp_path / "result.txt"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")  # as `write` raises it
    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename == str(tmp_path / "result.txt")


def test_an_error_of_another_file_names_that_one(tmp_path):
    with pytest.raises(FileNotFoundError) as raised, files.writing(tmp_path / "result.txt"):
        (tmp_path / "other").read_text()
    assert raised.value.filename == str(tmp_path / "other")


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "real" / "result.txt")
    files.write_text(link, "é\n")
    assert link.is_symlink()
    assert (tmp_path / "real" / "result.txt").read_bytes() == "é\n".encode()


def test_what_is_no_file_is_written_directly():
    files.write_text(Path("/dev/null"), "text")
    reader, writer = os.pipe()
    try:
        files.write_text(Path(f"/dev/fd/{writer}"), "text")
        assert os.read(reader, 10) == b"text"
    finally:
        os.close(reader)
        os.close(writer)


def test_what_killed_processes_left_is_removed(tmp_path):
    (tmp_path / ".writing-a").mkdir()
    (tmp_path / ".writing-a" / "model").write_text("half")
    (tmp_path / ".writing-b.txt").write_text("half")
    (tmp_path / ".writing-c").symlink_to(tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    files.remove_unfinished(tmp_path)
    assert os.listdir(tmp_path) == ["kept"]
    assert os.listdir(tmp_path / "kept") == ["file"]


LOCK = """
import pathlib, runpy, sys, time
locked = runpy.run_path(sys.argv[2])["locked"]  # to import the package takes seconds
with locked(pathlib.Path(sys.argv[1]), wait=False):
    print("locked", flush=True)
    time.sleep(100)
"""


def test_a_folder_is_locked_until_the_process_that_locked_it_is_killed(tmp_path):
    other = subprocess.Popen(
        [sys.executable, "-c", LOCK, str(tmp_path), files.__file__],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout.readline() == "locked\n"
        with (
            pytest.raises(BlockingIOError, match="another process is writing") as raised,
            files.locked(tmp_path, wait=False),
        ):
            pass
        assert raised.value.filename == str(tmp_path)
        other.send_signal(signal.SIGKILL)
        other.wait()
        with files.locked(tmp_path, wait=False):
            pass
    finally:
        other.kill()
        other.communicate()
    assert os.listdir(tmp_path) == []


def test_two_who_write_one_file_write_it_whole(tmp_path):
    file = tmp_path / "result.txt"
    with files.writing(file) as first:
        first.write_text("first")
        with files.writing(file) as second:
            second.write_text("second")
        assert file.read_text() == "second"
    assert file.read_text() == "first"
    assert os.listdir(tmp_path) == ["result.txt"]


def test_a_file_keeps_its_mode(tmp_path):
    file = tmp_path / "result.txt"
    file.touch(0o600)
    files.write_text(file, "secret")
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EBADF])
def test_a_file_system_that_syncs_no_folders_is_no_error(tmp_path, monkeypatch, number):
    real = os.fsync

    def fsync(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    files.write_text(tmp_path / "result.txt", "text")
    assert (tmp_path / "result.txt").read_text() == "text"


def test_without_locks_nobody_is_kept_out_and_that_is_said(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.EBADF, "no locks here")

    monkeypatch.setattr(files.fcntl, "flock", flock)
    with files.locked(tmp_path, wait=False) as alone:
        assert alone is False
