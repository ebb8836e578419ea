"""What a command line says of a user's mistake."""


class UserError(Exception):
    """A user's mistake: one line that says what, where, and what to do."""
