"""Merges: where two neurites have become one segment.

(1) discontinuity  how much embeddings and types change at each edge
(2) proposals      the places that change most, and what a cut there parts
(3) synthetic      merges that are known, of touching segments
(4) trial          how well known merges are found, beside chance

Embeddings tell what a neurite is, and not which one: a merge of two axons of
one kind changes little, and is hardly found. Measured on published embeddings,
random merges are found well and those of real proofreading hardly above
chance; so the kinds of merges are reported apart.
"""
