"""Runs a command that finds the small release at gs://h01-release.

PYTHONPATH=tests python -m h01 \\
    python -m ffn_tf.info 'configs/datasets/h01.yaml#c3'
"""

import os
import subprocess
import sys

from servers import gcs_server

from h01 import release

if __name__ == "__main__":
    with gcs_server.start(release.BUCKET) as server:
        release.build(server)
        done = subprocess.run(
            sys.argv[1:], env=os.environ | server.environment(), check=False
        )
    sys.exit(done.returncode)
