"""Statistics of reading: sums over parts, programs and attempts."""

import pytest

from segclr.embedding import statistics

ONE = statistics.Statistics(3, 40, 10, 2_000_000, 0.5, 0.25, 4.0, 0.125, 4.5)


def test_rates():
    assert ONE.hit_rate == 0.75
    assert ONE.gb_per_s == 0.004
    assert ONE.reads_per_chunk(8) == 1.25
    assert "8 chunks read 1.25 times each (75.0%" in ONE.described(8)
    assert "4.0 s in the network, which waited 0.1 of 4.5 s" in ONE.described(8)
    nothing = statistics.Statistics()
    assert nothing.hit_rate == 1 and nothing.gb_per_s == 0
    assert "not counted" in nothing.described(0)


def test_sums(tmp_path):
    """Of two shards, one of which is run twice."""
    for name, parts in (("shard-0-of-2", 2), ("shard-1-of-2", 1)):
        account = statistics.Account(tmp_path, name)
        for _ in range(parts):
            account.add(ONE)
    statistics.Account(tmp_path, "shard-1-of-2").add(ONE)
    assert len(list(tmp_path.iterdir())) == 2
    found = statistics.read(tmp_path)
    assert found == ONE.added(ONE).added(ONE).added(ONE)
    assert found.chunk_reads == 40 and found.seconds == 18


def test_nothing_yet(tmp_path):
    assert statistics.read(tmp_path) == statistics.Statistics()


@pytest.mark.parametrize("text", ["{", '{"steps": 3}', '{"nodes": -1}', "[1]"])
def test_a_damaged_file(tmp_path, text):
    (tmp_path / "reading.json").write_text(text)
    for use in (statistics.read, statistics.Account):
        with pytest.raises(
            ValueError, match=r"reading\.json is damaged .*Delet"
        ):
            use(tmp_path)
