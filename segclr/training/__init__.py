"""Training: from pairs of places to an encoder.

(1) objective   how alike the two views of a pair are, beside all others
(2) lars        an optimizer whose steps suit each layer
(3) views       two looks at each pair, with tf.data; masks changes segments
(4) step        one step of the optimizer
(5) probe       what embeddings tell of types, while they are learned
(6) loop        all of it, until the last step
"""
