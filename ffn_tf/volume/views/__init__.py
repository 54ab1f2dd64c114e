"""Volumes made of volumes: nothing is copied until it is read.

view                 what every view is
index, border        slices, crops, transposes; padding, broadcasting
values               casts, masks, channels
resample, combine    other scales; several volumes as one
description          views as a dataset's YAML has them
"""
