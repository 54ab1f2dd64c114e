"""One module for each way in which voxels are kept, and what they share.

    arrays, hdf5, stack            .npy and .npz, HDF5, folders of images
    section_names                  ... which files, in which order
    chunked, metadata              precomputed, zarr, zarr3, n5 (TensorStore)
    chunk_table, zeros             ... where their chunks are; if all are there
    layout, codec, sharding, scales    how a new one of these is laid out
    precomputed, shard_index, decoding    precomputed without TensorStore ...
    cloudvolume_source, gcsfs_source      ... by CloudVolume, through gcsfs
    workers                               ... and until when

Each opens a Source (source.py); `store.open` chooses.
"""
