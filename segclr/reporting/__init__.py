"""Reporting: what came of embeddings, as one page to look at.

(1) projection  embeddings as a map of two dimensions
(2) charts      the map, curves and confusion, as SVG and HTML
(3) places      pictures of places in the volume
(4) page        all of it in one file
"""
