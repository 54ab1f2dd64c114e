"""Embeddings: vectors of places on segments, and the files that hold them.

(1) csvzip   the released layout: sharded zips of CSV files
"""
