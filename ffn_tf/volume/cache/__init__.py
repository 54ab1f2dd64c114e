"""Chunks of remote volumes, kept on a local disk from one run to the next.

    disk          a bounded store of encoded chunks, shared by processes
    fetch, held   chunks asked for ahead; chunks kept in memory
    cached        the Source that reads through all of these

?cache=disk in an address asks for it.
"""
