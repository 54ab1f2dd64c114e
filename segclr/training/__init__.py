"""Training: from pairs of places to an encoder.

(1) objective   how alike the two views of a pair are, beside all others
(2) lars        an optimizer whose steps suit each layer
"""
