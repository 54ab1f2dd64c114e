"""Classifiers learn, know what they stand on, and are the same when read."""

import numpy as np
import pytest

from segclr.classification import classifier, fitting, heads, labels
from tests.segclr.classification.conftest import cells

QUICK = {"hidden": 16, "batch_size": 32, "max_epochs": 40, "patience": 5}


def fitted(clouds, head="linear", **options):
    vectors, given = clouds
    purpose = labels.split(given, 0.2, 0.3, 0)
    made = classifier.fit(
        vectors,
        given.of_node,
        given.classes,
        purpose == labels.TRAIN,
        purpose == labels.VALID,
        fitting.Options(
            head=head, **{"learning_rate": 0.01, **QUICK, **options}
        ),
    )
    return made, purpose == labels.TEST


@pytest.mark.parametrize("head", heads.KINDS)
def test_it_learns_and_is_kept(clouds, head, tmp_path):
    made, test = fitted(clouds, head)
    vectors, given = clouds
    found = made.predict(vectors[test])
    assert (found.label == given.of_node[test]).mean() > 0.95
    np.testing.assert_allclose(found.probability.sum(1), 1, rtol=1e-5)
    made.save(tmp_path, {})
    again = classifier.load(tmp_path)
    assert again.classes == given.classes
    np.testing.assert_array_equal(
        again.predict(vectors[test]).logits, found.logits
    )


def test_a_process_knows_what_it_has_not_seen(clouds):
    made, test = fitted(clouds, "sngp")
    vectors, _ = clouds
    far = vectors[test] + 2000 * np.sign(vectors[test] - 1000)
    near = made.predict(vectors[test]).uncertainty
    assert np.median(made.predict(far).uncertainty) > 2 * np.median(near)


def test_predicting_changes_nothing(clouds):
    made, _ = fitted(clouds, "sngp")
    before = [w.copy() for w in made.head.get_weights()]
    one = made.predict(clouds[0][:7]).logits
    made.predict(clouds[0] + 100)
    for was, is_ in zip(before, made.head.get_weights()):
        np.testing.assert_array_equal(was, is_)
    # Nor does it matter with what others an example comes.
    np.testing.assert_allclose(
        made.predict(clouds[0]).logits[:7], one, rtol=1e-4, atol=1e-5
    )


def test_what_was_learned_is_standardised_when_applied(clouds):
    made, test = fitted(clouds)
    vectors, given = clouds
    purpose = labels.split(given, 0.2, 0.3, 0)
    x = vectors[purpose == labels.TRAIN].astype(np.float64)
    np.testing.assert_allclose(made.mean, x.mean(0))
    np.testing.assert_allclose(made.std, x.std(0))
    scaled = (vectors[test] - x.mean(0)) / x.std(0)
    np.testing.assert_allclose(
        made.predict(vectors[test]).logits,
        made.head(scaled.astype(np.float32)),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_constant_number_does_no_harm(clouds):
    vectors, given = clouds
    vectors[:, 2] = 7
    made, test = fitted((vectors, given))
    assert np.isfinite(made.predict(vectors[test]).logits).all()


def test_the_batch_is_the_one_that_was_asked_for(clouds, monkeypatch):
    shapes = []
    real = fitting._Learner.epoch

    def watched(self, order):
        shapes.append(order.shape)
        return real(self, order)

    monkeypatch.setattr(fitting._Learner, "epoch", watched)
    fitted(clouds, batch_size=48, max_epochs=2)
    assert shapes == [(15 * 12 // 48, 48)] * 2


def test_the_best_weights_are_kept(clouds, monkeypatch):
    losses = iter([3.0, 1.0, 2.0, 2.0, 5.0])
    seen = []

    def validated(self):
        seen.append(self._head.get_weights()[0].copy())
        return next(losses)

    monkeypatch.setattr(fitting._Learner, "validated", validated)
    made, _ = fitted(clouds, patience=3)
    assert len(seen) == 5
    np.testing.assert_array_equal(made.head.get_weights()[0], seen[1])


def test_a_loss_that_is_not_finite_ends_it(clouds, monkeypatch):
    monkeypatch.setattr(
        fitting._Learner, "epoch", lambda self, order: np.float32("nan")
    )
    with pytest.raises(ValueError, match="loss of the classifier is nan"):
        fitted(clouds)


def test_rare_classes_count_as_much():
    """Of overlapping clouds, with few of one, balance finds those few."""
    rng = np.random.default_rng(0)
    of_node = np.repeat([0, 1], [2000, 40])
    x = rng.normal(size=(2040, 1)) + 1.2 * of_node[:, None]
    recall = []
    for balance in (False, True):
        made = classifier.fit(
            x,
            of_node,
            ("a", "b"),
            np.ones(2040, bool),
            None,
            fitting.Options(
                head="linear",
                learning_rate=0.02,
                batch_size=256,
                balance=balance,
            ),
        )
        recall.append((made.predict(x).label[of_node == 1] == 1).mean())
    assert recall[0] < 0.3 < 0.6 < recall[1]


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t, v, y: t.fill(False), "nothing to train on"),
        (lambda t, v, y: v.fill(False), "nothing to validate on"),
        (lambda t, v, y: np.logical_and(t, y != 1, out=t), "none of dendrite"),
        (lambda t, v, y: y.__setitem__(slice(40), -1), "have no label"),
    ],
)
def test_bad_splits(clouds, change, message):
    vectors, given = clouds
    purpose = labels.split(given, 0.2, 0.3, 0)
    train, valid = purpose == 0, purpose == 1
    of_node = given.of_node.copy()
    change(train, valid, of_node)
    with pytest.raises(ValueError, match=message):
        classifier.fit(
            vectors,
            of_node,
            given.classes,
            train,
            valid,
            fitting.Options(),
        )


def test_bad_embeddings(clouds):
    made, _ = fitted(clouds)
    with pytest.raises(ValueError, match=r"\[n, 6\], found \[3, 5\]"):
        made.predict(np.zeros((3, 5)))
    broken = np.zeros((3, 6))
    broken[1, 2] = np.nan
    with pytest.raises(ValueError, match="1 of 3 embeddings are not finite"):
        made.predict(broken)
    assert made.predict(np.zeros((0, 6))).label.shape == (0,)


def test_bad_options():
    with pytest.raises(ValueError, match="learning_rate must be positive"):
        fitting.Options(learning_rate=0)
    with pytest.raises(ValueError, match="expected 1 or more"):
        fitting.Options(patience=0)
    with pytest.raises(ValueError, match="Unknown head 'svm'"):
        heads.Head("svm", 2, 2)
    with pytest.raises(ValueError, match="sizes of 1 or more"):
        heads.Head("linear", 2, 0)


def test_no_classifier(tmp_path):
    with pytest.raises(FileNotFoundError, match="No classifier in"):
        classifier.load(tmp_path)
    vectors, given = cells(count=9)
    made, _ = fitted((vectors, given))
    made.save(tmp_path, {})
    weights = tmp_path / "model.weights.h5"
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(ValueError, match="is not the file"):
        classifier.load(tmp_path)
