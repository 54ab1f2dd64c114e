"""What people look at: scenes of volumes, meshes, skeletons, points; reports.

    scene        what is shown, as a state of Neuroglancer: layers, position
    sources      where the browser gets a volume from
    chunks       any volume as a precomputed one, made as it is asked for
    folder       files of one folder, and nothing else
    skeletons    skeletons of any file as precomputed ones
    points       points of a table, as annotations
    server       who answers, on this machine
    screenshot   a picture of what a browser shows

and, of a run of run_inference, an HTML page:

    findings     what it has made so far, in numbers
    page         what the page says, in HTML (markup)
    report       when it is written

The program is ffn_tf/view.py.
"""
