"""Work on volumes that are too large for one go.

(1) `plan`: which subvolumes there are, and what they will cost.
"""
