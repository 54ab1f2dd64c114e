"""A small h01-release, for tests: the release's layout, few voxels.

    layout     what the volumes of the release say of themselves
    tissue     a phantom, where the named regions of h01.yaml begin
    release    the bucket, from both
    conftest   the fixture `h01`: the bucket on the GCS server of the tests

Of the true release (shared/reference/segclr_behaviour.md, section 4) it has
the paths, the voxel sizes, the bounds, the encodings, the chunks where they
are known, the numbers of the labels, the truncated jpeg at high z, and the
format of skeletons and embeddings. Volumes are sharded, so that the true
bounds cost nothing: only shards with voxels exist.

What nobody told us, and is assumed: bits of shards, keys of scales, scales of
the segmentations, chunks of 64^3 elsewhere, that subcompartments and tissue
are uint64, how skeletons are sharded. Meshes are left out; of what no program
reads yet (PLACEHOLDERS in release.py) there is only the name.
"""
