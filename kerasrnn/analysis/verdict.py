"""In words: what is left of a gradient some steps back.

The share is ||dL/dh_{t-k}|| over ||dL/dh_t||, of the gradient that reaches the last
state h_t, over all states of the cell.
"""
