"""The pages of the documentation: their blocks of code, headings and links.

A fenced block is run by its language:

- `python`: all blocks of a page, one after the other, in one fresh interpreter. A block of
  `text` that follows at once is what it prints.
- `shell`: each command must succeed.
- `console`: each command after `$ ` must print what stands below it; the apps first what they
  print on standard error.

In expected output `...` stands for anything. A block whose first line is
`# not run in CI: <reason>` is shown only. So are blocks in any other language.
"""

import dataclasses
import doctest
import itertools
import re
import shutil
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parent.parent.parent
LANGUAGES = ("python", "shell", "console", "text", "json", "c")
NOT_RUN = "# not run in CI: "
RUN_BY_CI_ITSELF = (
    "python -m venv",
    "python -m pip",
    "python -m pytest",
    "python -m benchmarks",
    "pre-commit",
    "bash .ci/run",
)
"""Commands that begin so are not run: continuous integration consists of them."""


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: "Page"
    line: int
    """Of the first line inside, counted from 1."""
    language: str
    content: str
    output: str | None
    """What a block of Python must print, if the page says it."""

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def why_not_run(self) -> str | None:
        """The reason, if the block is shown only."""
        first, _, _ = self.content.partition("\n")
        return first.removeprefix(NOT_RUN) if first.startswith(NOT_RUN) else None


@dataclasses.dataclass(frozen=True)
class Command:
    """A command of the shell."""

    line: str
    output: str | None
    """What it must print; `None`: anything."""


@dataclasses.dataclass(frozen=True)
class Page:
    """A Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def tokens(self) -> list[Token]:
        text = self.path.read_text(encoding="utf-8")
        return MarkdownIt("commonmark").enable("table").parse(text)

    @property
    def blocks(self) -> list[Block]:
        tokens = self.tokens
        blocks = []
        for token, following in zip(tokens, [*tokens[1:], None], strict=True):
            if token.type == "fence":
                printed = following is not None and following.type == "fence"
                printed = printed and following.info == "text"
                output = following.content if printed else None
                line = token.map[0] + 2 if token.map else 0
                blocks.append(Block(self, line, token.info, token.content, output))
        return blocks

    def blocks_to_run(self, *languages: str) -> list[Block]:
        """The blocks in these languages that are not only shown."""
        return [b for b in self.blocks if b.language in languages and b.why_not_run is None]

    @property
    def headings(self) -> list[tuple[int, str]]:
        """The level and the text of each heading."""
        tokens = self.tokens
        pairs = itertools.pairwise(tokens)
        return [(int(a.tag[1:]), _text(b)) for a, b in pairs if a.type == "heading_open"]

    @property
    def anchors(self) -> set[str]:
        """What `#...` in a link to this page may name, as GitHub makes it of headings."""
        found: set[str] = set()
        for _, text in self.headings:
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            number, anchor = 0, slug
            while anchor in found:
                number += 1
                anchor = f"{slug}-{number}"
            found.add(anchor)
        return found

    @property
    def links(self) -> list[str]:
        """The targets of all links and pictures."""
        found = [token.attrGet("href") or token.attrGet("src") for token in self.inline]
        return [str(target) for target in found if target]

    @property
    def inline_code(self) -> list[str]:
        """All code inside of sentences and tables."""
        return [token.content for token in self.inline if token.type == "code_inline"]

    @property
    def inline(self) -> list[Token]:
        """What paragraphs, tables and headings consist of."""
        return [child for token in self.tokens for child in token.children or ()]

    @property
    def modules(self) -> set[str]:
        """The modules that `python -m ...` names anywhere in the text."""
        return set(re.findall(r"python -m ([\w.]*\w)", self.path.read_text(encoding="utf-8")))

    @property
    def extras(self) -> set[str]:
        """The extras that the page says it needs."""
        text = self.path.read_text(encoding="utf-8")
        line = re.search(r"^Needs: `python -m pip install -e '\.\[([\w,]+)\]'`", text, re.M)
        return set(line[1].split(",")) if line else set()


def _text(inline: Token) -> str:
    return "".join(child.content for child in inline.children or ())


def find_pages() -> list[Page]:
    """All pages but the changelog, whose past entries nobody runs."""
    paths = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        ROOT / "benchmarks" / "README.md",
        ROOT / "saved_models" / "README.md",
    ]
    return [Page(path) for path in sorted(paths) if path.name != "CHANGELOG.md"]


def commands_of(block: Block) -> list[Command]:
    """The commands in a block of `shell` or `console`, each with what it prints."""
    if block.language == "shell":
        joined = block.content.replace("\\\n", " ")
        lines = (line.strip() for line in joined.splitlines())
        return [Command(line, None) for line in lines if line and not line.startswith("#")]
    commands = []
    for part in re.split(r"^\$ ", block.content, flags=re.MULTILINE)[1:]:
        line, output = re.split(r"(?<!\\)\n", part, maxsplit=1)
        commands.append(Command(line.replace("\\\n", " "), output))
    return commands


def prints_as_expected(expected: str, found: str) -> bool:
    """Whether an output is the expected one, in which `...` stands for anything."""
    return doctest.OutputChecker().check_output(expected, found, doctest.ELLIPSIS)


def make_working_folder(folder: Path) -> None:
    """Puts what the commands of pages use into a folder: trained models and clients."""
    shutil.copytree(ROOT / "saved_models", folder / "saved_models")
    shutil.copytree(ROOT / "tests" / "clients", folder / "tests" / "clients")
