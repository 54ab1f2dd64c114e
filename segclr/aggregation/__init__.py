"""Aggregation: embeddings of a neighbourhood, along the neurite, as one.

(1) geodesic   means within a radius along the skeleton
(2) tables     ... of all nodes of a table
(3) sides      ... of what lies on either side of each edge
"""
