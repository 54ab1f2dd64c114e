"""SegCLR: from segments to vectors, cell types and merge errors.

The second wing (Dorkenwald et al., 2023, Nature Methods 20, 2011-2020): an
encoder learns, from pairs of places on one neurite, to turn the image around a
place, masked by its segment, into a vector that tells what kind of neurite it
is.
"""
