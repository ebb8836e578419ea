"""How gradients flow, and what models make of their own outputs."""
