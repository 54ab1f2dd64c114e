"""Which checkpoint is best? Each is tried on a small box with a truth.

(1) record      what came of it: validation.json in the checkpoint's folder
(2) checkpoint  one checkpoint segmented and scored
(3) ranking     all checkpoints of a training, the best first
(4) chart       ... as a picture over the steps

The modules are imported one by one: only (2) needs TensorFlow.
"""
