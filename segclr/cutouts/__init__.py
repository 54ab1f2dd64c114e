"""Cutouts: the image around places, masked by their segments.

(1) agglomeration   segments that a table joins to objects
(2) reading         cutouts around many places at once, of any volumes
"""
