"""What a command line says of a user's mistake, or of what a user should know."""

import sys


class UserError(Exception):
    """A user's mistake: one line that says what, where, and what to do."""


def warn(message: str) -> None:
    """Prints a warning on standard error."""
    print(f"warning: {message}", file=sys.stderr)
