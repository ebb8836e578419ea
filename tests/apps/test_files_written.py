"""Where a command writes to: files, links, pipes, devices, full disks."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from apps import cli
from apps.chargen.__main__ import COMMANDS
from kerasrnn import files

pytestmark = pytest.mark.usefixtures("loaded_once")

MODEL = Path(__file__).parents[2] / "saved_models" / "chargen"
SAMPLE = ["sample", "--model", str(MODEL), "--length", "8", "--seed", "0"]


def run(*arguments):
    return cli.main("apps.chargen", "", COMMANDS, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def expected(tmp_path_factory, loaded_once):
    path = tmp_path_factory.mktemp("expected") / "sample.txt"
    assert run(*SAMPLE, "--output", path) == 0
    assert len(path.read_text("utf-8")) == 9
    return path.read_text("utf-8")


@pytest.mark.parametrize("before", [None, "the old text"])
@pytest.mark.parametrize("moment", ["write", "fsync", "replace"])
def test_a_sample_is_whole_or_absent_where_the_disk_is_full(
    tmp_path, monkeypatch, capsys, expected, moment, before
):
    output = tmp_path / "sample.txt"
    if before is not None:
        output.write_text(before)

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write_half(path, text, **options):
        path.write_bytes(text.encode()[: len(text) // 2])
        fail()

    with monkeypatch.context() as patch:
        if moment == "write":
            patch.setattr(Path, "write_text", write_half)
        else:
            patch.setattr(os, moment, fail)
        assert run(*SAMPLE, "--output", output) == 2
    model, error = capsys.readouterr().err.splitlines()
    assert model.startswith("model: ")
    assert error == (
        f"error: {output}: No space left on device. Check the path, the rights and the disk."
    )
    left = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert left == ({} if before is None else {"sample.txt": before})
    assert run(*SAMPLE, "--output", output) == 0
    assert output.read_text("utf-8") == expected


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_device_that_is_full_is_named(capsys):
    assert run(*SAMPLE, "--output", "/dev/full") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: /dev/full: No space left on device. ")
    assert os.path.exists("/dev/full")


def test_what_a_link_leads_to_is_written_and_the_link_stays(tmp_path, expected):
    (tmp_path / "target.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("target.txt")
    (tmp_path / "new.txt").symlink_to("not yet.txt")
    for name, target in {"link.txt": "target.txt", "new.txt": "not yet.txt"}.items():
        assert run(*SAMPLE, "--output", tmp_path / name) == 0
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / target).read_text("utf-8") == expected


# The file alone: to import the package takes seconds.
WRITE = "import runpy, sys; from pathlib import Path; "
WRITE += f"runpy.run_path('{files.__file__}')['write_text'](Path(sys.argv[1]), 'é\\n')"


@pytest.mark.skipif(os.name != "posix", reason="needs a shell's redirections")
@pytest.mark.parametrize(
    ("line", "out"),
    [
        ("W /dev/stdout | cat", "é\n"),
        ("W /dev/stdout > file.txt; cat file.txt", "é\n"),
        ("W /dev/fd/3 3>&1 | cat", "é\n"),
        ("W >(cat) | cat", "é\n"),
        ("mkfifo pipe; W pipe & cat pipe", "é\n"),
        ("W /dev/null", ""),
    ],
)
def test_what_is_no_ordinary_file_is_written_as_it_is(tmp_path, line, out):
    script = f'W() {{ \'{sys.executable}\' -c "{WRITE}" "$@"; }}; {line}'
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {script}"],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert (done.returncode, done.stdout.decode("utf-8")) == (0, out), done.stderr
    assert not list(tmp_path.glob(f"{files.HIDDEN}*"))
