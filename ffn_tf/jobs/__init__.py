"""Work on volumes that are too large for one go.

(1) `plan`   which subvolumes there are, and what they will cost
(2) `run`    tasks to workers, retried, resumed: `tasks` says what those are
             `processes`     on this machine
             `ray_cluster`   on the machines of a Ray cluster, which needs ray
"""
