"""Training: from places and labels to a network that fills objects.

(1) patches       image, labels and weights around centres
(2) pipeline      ... as examples, with tf.data; augmentation/ changes them
    preview         ... and how, as a picture
(3) moves         how a field of view walks over an example
(4) step          one step of the optimizer
(5) metrics       how well examples are filled
    summaries       ... for TensorBoard
(6) checkpoints   what training goes on from
    state           ... of a network and its optimizer
    folder          ... and whose training it is
(7) loop          all of it, until the last step
    pace            ... and when it tells how it is going

Networks learn to fill an object from what they have filled so far, so each
example is walked over as it will be in inference (Januszewski et al., 2018).
"""

from ffn_tf.program import quiet

quiet.import_tensorflow()
