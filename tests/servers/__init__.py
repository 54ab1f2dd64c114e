"""Real servers on loopback, which tests and benchmarks run against.

http_server   files over HTTP          TensorStore, cloud-volume, browsers
gcs_server    Google Cloud Storage     TensorStore, cloud-volume, gcsfs
s3_server     Amazon S3 (moto)         TensorStore, boto3
faults        what the first two are told to do wrong
fixtures      the pytest fixtures of all three
"""
