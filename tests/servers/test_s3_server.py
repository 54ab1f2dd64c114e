"""The server of S3's buckets, as its clients see it."""

import boto3
import pytest
import tensorstore as ts

from servers import volumes


@pytest.mark.parametrize("name", volumes.FORMATS)
def test_tensorstore(s3_server, s3_bucket, name):
    volumes.check_values(name, s3_server.kvstore(s3_bucket, "em/v"))


def test_four_writers(s3_server, s3_bucket):
    volumes.check_writers(lambda name: s3_server.kvstore(s3_bucket, name))


def test_boto3(s3_server, s3_bucket):
    client = boto3.client("s3")  # It has the address from the environment.
    client.put_object(Bucket=s3_bucket, Key="em/a b", Body=b"hello")
    store = ts.KvStore.open(s3_server.kvstore(s3_bucket, "em")).result()
    assert store.read("a b").result().value == b"hello"
    store.write("c", b"1").result()
    found = client.list_objects_v2(Bucket=s3_bucket, Prefix="em/")
    assert [item["Key"] for item in found["Contents"]] == ["em/a b", "em/c"]
    client.close()


def test_no_bucket(s3_server):
    store = ts.KvStore.open(s3_server.kvstore("none")).result()
    with pytest.raises(ValueError, match=r"does not exist|404"):
        store.write("x", b"1").result()
