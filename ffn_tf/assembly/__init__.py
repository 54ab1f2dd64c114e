"""Subvolumes that overlap become one segmentation. Numpy only.

(1) `pieces`: which results there are, and which voxels each of them gives.
(2) `cores`: those voxels, with numbers of their own.
(3) `overlaps`: which ids of two pieces share voxels; a file for each piece.
(4) `matching`: which of them are one object.
(5) `global_ids`: one id for each object; `union_find`: sets of pairs.
(6) `assembled`: all pieces as one volume.
(7) `summary`: what was assembled, and what looks wrong.
(8) `meshing`: the surfaces of segments, block by block.

And of two segmentations, what they agree on: `consensus`, of volumes;
`both_orders`, of the subvolumes of two runs.
"""
