"""What a network is trained on: places, chosen by how thin the objects are.

(1) active_fraction   how much around a voxel belongs to its object
(2) partitions        voxels in classes by that share
(3) coordinates       centres of examples, each class as often as the others
(4) records           ... as TFRecords
(5) outputs           files that are complete together

Only numpy is needed here: TensorFlow is for who reads the records.
"""
