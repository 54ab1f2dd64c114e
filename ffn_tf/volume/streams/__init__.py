"""Read, process, write: many boxes at once, in bounded memory.

tasks                 an ordered or unordered pipeline of async work
stream, outcome       volumes through such a pipeline; what became of it
live                  volumes that grow while they are read
arriving_slices, arriving_chunks    ... as images, as chunks
"""
