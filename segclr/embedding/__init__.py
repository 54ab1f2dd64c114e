"""Embeddings: vectors of places on segments, and the files that hold them.

(1) places   which places, in the order in which they are read
(2) engine   the encoder on this machine: TensorFlow, or OpenVINO on CPUs
(3) run      all places, as jobs: parts of a table
             ahead, statistics   cutouts while others are embedded; how fast
(4) table    the table: Parquet files of nodes and of edges
(5) csvzip   the released layout: sharded zips of CSV files
             zip_members, csv_numbers   its files, and their numbers, fast
"""
