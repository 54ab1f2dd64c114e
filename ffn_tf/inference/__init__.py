"""Flood filling: from an image and a network to subvolume segmentations.

  (1) request, options, protos   what to do, from flags or google/ffn's files
  (2) seeds                      where objects start
  (3) movement                   where the field of view goes next
  (4) canvas, field              one subvolume being filled; its logits
      keepsakes                    ... what it keeps besides
      preparation, restriction,    ... what it begins with: image, masks
      mask
  (5) engine, engine_*           what predicts a batch of fields of view
      resident, device             ... of canvases that live on the device
      batch_size                   ... how many at once
      precision, quantisation,     ... in cheaper arithmetic
      calibration
  (6) scheduler                  many canvases, one engine
  (7) runner                     a box of a volume into a folder of results
      run, run_options             ... checked, and nothing done yet
      segmenter                    ... by one process
      geometry, extent, box_text,  ... what is asked for
      intensity                    ... grey values
      results, states              ... the folder, what is unfinished in it
      progress, timing             ... how far, how fast
  (8) subvolume, pickles,        the files of the results
      archive

The modules are imported one by one: those of (1) and (8) do without
TensorFlow, and importing this package must too.
"""

import sys

# With it, OpenVINO reports each conversion to Intel, from a process that it
# forks, and that holds our locks for as long as the network does not answer.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
