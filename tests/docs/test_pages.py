"""Links lead somewhere, commands exist, and each page stands in the reading order."""

import dataclasses
import importlib
import importlib.util
import itertools
import re
import shlex
import urllib.parse

import pytest

from apps import cli
from tests.docs.pages import (
    LANGUAGES,
    NOT_RUN,
    ROOT,
    Page,
    commands_of,
    find_pages,
    prints_as_expected,
)

PAGES = find_pages()
GUIDES = [page for page in PAGES if page.path.parent == ROOT / "docs"]
ROOMS = ("layers", "text", "training", "models", "analysis", "serving")
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page
def test_links_lead_to_files_and_headings(page):
    broken = []
    for target in page.links:
        parts = urllib.parse.urlsplit(target)
        if parts.scheme or parts.netloc:
            continue
        path = page.path.parent / urllib.parse.unquote(parts.path) if parts.path else page.path
        there = path.exists() and ROOT in path.resolve().parents
        if not there or (parts.fragment and parts.fragment not in Page(path).anchors):
            broken.append(target)
    assert not broken


@each_page
def test_a_page_has_one_title(page):
    assert [level for level, _ in page.headings].count(1) == 1


@each_page
def test_blocks_name_a_known_language(page):
    assert not [block.place for block in page.blocks if block.language not in LANGUAGES]


@each_page
def test_marks_of_blocks_that_are_not_run_give_a_reason(page):
    for block in page.blocks:
        if NOT_RUN.strip() in block.content:
            assert block.why_not_run, f"{block.place}: the mark must be the first line"


@each_page
def test_modules_that_are_named_exist(page):
    assert not [name for name in page.modules if importlib.util.find_spec(name) is None]


@each_page
def test_the_apps_take_the_options_that_are_shown(page, capsys):
    """Where commands take too long to run, too."""
    for block in page.blocks:
        if block.language not in ("shell", "console"):
            continue
        for command in commands_of(block):
            words = shlex.split(command.line, comments=True)
            words = words[: next((n for n, word in enumerate(words) if word in "|><"), None)]
            if words[:2] != ["python", "-m"] or not words[2].startswith("apps."):
                continue
            app = importlib.import_module(f"{words[2]}.__main__")
            commands = {
                name: dataclasses.replace(one, run=lambda options: None)
                for name, one in app.COMMANDS.items()
            }
            status = cli.main(words[2], "", commands, words[3:])
            assert status == 0, f"{block.place}: {command.line}\n{capsys.readouterr().err}"


@pytest.mark.parametrize("app", ["sentiment", "chargen", "transduce"])
def test_the_page_of_an_app_names_options_that_exist(app):
    commands = importlib.import_module(f"apps.{app}.__main__").COMMANDS
    known = {
        f"--{field.name.replace('_', '-')}"
        for command in commands.values()
        for field in dataclasses.fields(command.options)
    }
    page = Page(ROOT / "docs" / f"{app}.md")
    named = {code.split()[0] for code in page.inline_code if code.startswith("--")}
    assert named - known - {"--help", "--no-resume", "--no-word-vectors"} == set()


def test_guides_lead_from_one_to_the_next():
    """`docs/README.md` lists all guides in order; the last link of each is the next one."""
    index = Page(ROOT / "docs" / "README.md")
    order = [link for link in index.links if "/" not in link and link.endswith(".md")]
    guides = sorted(page.path.name for page in GUIDES if page.path != index.path)
    assert sorted(order) == guides
    for name, following in itertools.pairwise(order):
        assert Page(ROOT / "docs" / name).links[-1] == following


def test_an_output_may_leave_something_open():
    assert prints_as_expected("a\n...\nd\n", "a\nb\nc\nd\n")
    assert prints_as_expected("x\t0.5\n", "x\t0.5\n")
    assert not prints_as_expected("x\t0.5\n", "x 0.5\n")
    assert not prints_as_expected("a\n", "a\nb\n")


@pytest.mark.parametrize(
    "room", ["layers", "text", "training", "models", "analysis", "serving"]
)
def test_the_architecture_lists_the_modules_of_a_room(room):
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.split(f"\n## {room}\n")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    there = {path.stem for path in (ROOT / "kerasrnn" / room).glob("*.py")} - {"__init__"}
    assert sorted(listed) == sorted(there)
