#!/usr/bin/env bash
# Makes the network that comes with ffn_tf (ffn_tf/model/shipped/README.md):
# phantoms, partitions, coordinates, and two trainings, the second with larger
# fields of view. An hour on two cores with bfloat16; it goes on where it was. The
# network is $out/network, with the field of view that segmented phantom 102 best.
set -euo pipefail
out=${1:-out/shipped}
seeds="11 12 101"
images="" labels="" partitions=""
for seed in $seeds; do
  made=$out/phantom$seed
  [ -e "$made" ] || python -m ffn_tf.make_phantom --seed="$seed" \
      --size_zyx=224,224,224 --output_dir="$made"
  python -m ffn_tf.compute_partitions --input_volume="$made/labels.zarr" \
      --output_volume="$out/partitions$seed.zarr" --lom_radius=8,8,8 \
      --thresholds=0.3,0.4,0.5,0.6,0.7,0.8,0.9 --min_size=500 --ignore_borders
  images+=",p$seed:$made/image.zarr" labels+=",p$seed:$made/labels.zarr"
  partitions+=",p$seed:$out/partitions$seed.zarr"
done
python -m ffn_tf.build_coordinates --partition_volumes="${partitions:1}" \
    --coordinate_output="$out/coordinates@4" --margin=24,24,24 \
    --max_per_class=50000
train() {
  python -m ffn_tf.train --train_coords="$out/coordinates@4" \
      --data_volumes="${images:1}" --label_volumes="${labels:1}" \
      --ignore_borders --permutable_axes=0,1,2 --compute_dtype=bfloat16 \
      --optimizer=adam --learning_rate_schedule=cosine --ema_decay=0.999 "$@"
}
train --train_dir="$out/stage1" --max_steps=10000 --batch_size=16 \
    --model_args='{"depth": 6, "features": 16, "fov_size": [17, 17, 17],
        "deltas": [4, 4, 4]}' --warm_seed_radius=6 --warm_seed_steps=10000 \
    --learning_rate=0.001 --warmup_steps=200
train --train_dir="$out/stage2" --max_steps=4000 --batch_size=8 \
    --model_args='{"fov_size": [25, 25, 25], "deltas": [6, 6, 6]}' \
    --init_checkpoint="$out/stage1/checkpoints/step-00010000" \
    --learning_rate=0.0005 --warmup_steps=100
python - "$out" <<'END'
import sys
from ffn_tf import model
trained = f"{sys.argv[1]}/stage2/checkpoints/step-00004000"
network = model.load(trained, model.FieldOfView((21, 21, 21), (5, 5, 5)))
model.save(network, f"{sys.argv[1]}/network", model.origin(trained))
END
