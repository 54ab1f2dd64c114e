"""Flood-filling networks: from an electron-microscopy volume to segments.

The modules beside this file are the programs, `python -m ffn_tf.<name>`, in
the order in which data flows:

  (1) make_phantom       synthetic EM with exact truth
      info               what is at an address
      verify_access      whether it can be read from here, and how fast
      ingest             images and arrays -> any volume format
  (2) import_checkpoint  google/ffn's network -> ours
  (3) run_inference      volume + network -> subvolume segmentations
  (4) evaluate           segmentation + truth -> scores, offenders, a picture
  (5) demo               all of it on a real crop

The folders are the libraries that they are made of; `docs/formats.md` says
what each file that they write looks like.
"""

__version__ = "0.1.0"
