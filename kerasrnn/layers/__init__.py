"""What recurs: cells, layers, and how gradients flow back through time."""
