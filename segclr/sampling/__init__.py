"""Places: where on neurites the encoder looks, and which belong together.

(1) nodes     places along skeletons, at a spacing
(2) pairs     two nodes of one neurite, by how far they are apart along it
(3) records   pairs as TFRecords, as the released tables have them
"""
