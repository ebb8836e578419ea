"""Which characters may be drawn, and how one of them is: one idea per file."""
