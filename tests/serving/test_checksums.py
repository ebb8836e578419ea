"""The checksums beside an exported model."""

import shutil
import subprocess

import pytest


def test_the_checksums_are_those_of_all_files(exported_classifier):
    command = ["sha256sum", "--check", "--quiet", "assets.extra/SHA256SUMS"]
    if shutil.which(command[0]) is None:
        pytest.skip("sha256sum is not installed")
    assert subprocess.run(command, cwd=exported_classifier, check=False).returncode == 0
    listed = (exported_classifier / "assets.extra" / "SHA256SUMS").read_text().splitlines()
    names = {line.split("  ")[1] for line in listed}
    assert {"saved_model.pb", "assets/vocabulary.txt", "variables/variables.index"} <= names
    files = {
        p.relative_to(exported_classifier).as_posix()
        for p in exported_classifier.rglob("*")
        if p.is_file()
    }
    assert names == files - {"assets.extra/SHA256SUMS"}
