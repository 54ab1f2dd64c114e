"""segclr.demo: from a phantom to a page, and again without doing it again."""

import pathlib

from segclr import demo


def test_it_makes_a_page(tmp_path):
    options = demo.Options(f"{tmp_path}/out", (60, 60, 60), max_steps=2)
    commands = []
    summary = demo.run(options, commands.append)
    programs = [line.split()[2] for line in commands]
    assert programs == [
        "ffn_tf.make_phantom",
        "ffn_tf.skeletonize",
        "segclr.sample_pairs",
        "segclr.train",
        "segclr.embed",
        "segclr.aggregate",
        "segclr.classify",
        "segclr.detect_merges",
        "segclr.report",
    ]
    assert summary.nodes > 100
    assert summary.scores["test_cells"] > 3
    root = pathlib.Path(options.output_dir)
    page = (root / "report.html").read_text()
    assert "macro-F1" in page
    files = [*root.glob("embeddings/nodes/*"), *root.glob("means/nodes/*")]
    files += root.glob("training/checkpoints/*/model.weights.h5")
    before = {path: path.stat().st_mtime_ns for path in files}
    assert len(before) >= 3
    again = demo.run(options)
    assert again.nodes == summary.nodes
    assert before == {path: path.stat().st_mtime_ns for path in files}
