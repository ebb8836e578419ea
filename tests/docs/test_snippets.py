"""The Python that pages show, each page in a fresh interpreter with the extras it names."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys

import pytest

from tests.docs.pages import ROOT, find_pages, make_working_folder, prints_as_expected

PAGES = [page for page in find_pages() if page.blocks_to_run("python")]
INTERPRETER = ROOT / "tests" / "docs" / "interpreter.py"


def modules_of_extras():
    """The modules of each extra's packages; `None` for a package that is not installed."""
    names = importlib.metadata.packages_distributions()
    found: dict = {}
    for requirement in importlib.metadata.requires("kerasrnn") or ():
        match = re.match(r"([\w\-.]+).*extra == ['\"](\w+)['\"]", requirement)
        if match:
            package, extra = match.groups()
            package = package.replace("-", "_")
            modules = {
                module
                for module, packages in names.items()
                if package in [name.replace("-", "_") for name in packages]
            }
            found.setdefault(extra, []).append(modules or None)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs_and_prints_what_it_shows(page, tmp_path):
    extras = modules_of_extras()
    assert page.extras <= set(extras), "the page names an extra that there is not"
    given: set = set()
    for extra in page.extras:
        if None in extras[extra]:
            pytest.skip(f"needs the extra {extra}")
        given |= set().union(*extras[extra])
    known = {m for packages in extras.values() for modules in packages for m in modules or ()}
    blocks = page.blocks_to_run("python")
    make_working_folder(tmp_path)
    done = subprocess.run(
        [sys.executable, INTERPRETER],
        input=json.dumps(
            {
                "blocks": [(block.place, block.content) for block in blocks],
                "missing": sorted(known - given),
            }
        ),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.fspath(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for block, printed in zip(blocks, json.loads(done.stdout), strict=True):
        if block.output is not None:
            assert prints_as_expected(block.output, printed), f"{block.place}\n{printed}"
