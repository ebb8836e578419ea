"""Experiments anyone can repeat: `python -m examples.<name>`."""
