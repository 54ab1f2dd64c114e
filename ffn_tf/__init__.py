"""Flood-filling networks: from an electron-microscopy volume to segments.

The modules beside this file are the programs, `python -m ffn_tf.<name>`, in
the order in which data flows:

  (1) ingest         images and arrays -> any volume format
  (2) run_inference  volume + checkpoint -> subvolume segmentations
  (3) evaluate       segmentation + truth -> scores, offenders, a picture
  (4) demo           all of it on a real crop

The folders are the libraries that they are made of; `docs/formats.md` says
what each file that they write looks like.
"""

__version__ = "0.1.0"
