"""Runs the Python that a page shows, in a fresh interpreter with the extras that it names."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys

from tests.docs.pages import ROOT, Block, Page

INTERPRETER = ROOT / "tests" / "docs" / "interpreter.py"


def run_python(page: Page, folder: str) -> list[tuple[Block, str]]:
    """The blocks of Python of a page, one after the other, and what each printed.

    Raises:
        RuntimeError: if the page names an extra whose packages are not installed, or if a
            block ends with an error.
    """
    blocks = page.blocks_to_run("python")
    if not blocks:
        return []
    extras = modules_of_extras()
    missing = [name for name in sorted(page.extras) if None in extras.get(name, [None])]
    if missing:
        raise RuntimeError(f"needs the extra {', '.join(missing)}")
    given = {m for name in page.extras for modules in extras[name] for m in modules or ()}
    known = {m for packages in extras.values() for modules in packages for m in modules or ()}
    job = {
        "blocks": [(block.place, block.content) for block in blocks],
        "missing": sorted(known - given),
    }
    done = subprocess.run(
        [sys.executable, INTERPRETER],
        input=json.dumps(job),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.fspath(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return list(zip(blocks, json.loads(done.stdout), strict=True))


def modules_of_extras() -> dict[str, list[set[str] | None]]:
    """The modules of each extra's packages; `None` for a package that is not installed."""
    names = importlib.metadata.packages_distributions()
    found: dict[str, list[set[str] | None]] = {}
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
