"""Tests of frozen representations: scores, choices without test videos, and the page of maps."""

import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from browser import opened
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

import draw_retrieval
import map_representations
import score_representations
import summarise_representations
from video_lstm.artifacts import Provenance, create, write_arrays, write_strings
from video_lstm.command_line import parse
from video_lstm.errors import UserError
from video_lstm.evaluation.representation_classifiers import (
    RETRIEVAL,
    predict_by_neighbours,
    score_retrieval,
)
from video_lstm.evaluation.representation_scores import VideoRepresentations, score_representation
from video_lstm.evaluation.representation_summaries import summarise_representation_scores
from video_lstm.sequences.labelled_subsets import draw_labelled_subset
from video_lstm.video.clips import Clip, ClipName, write_clips, write_names
from video_lstm.video.labelled_videos import LabelledVideos
from video_lstm.video.splits import TEST, TRAIN
from video_lstm.video.write_video import encode_video

CLASSES, NUM_GROUPS, NUM_TEST_GROUPS = ["jump", "run", "walk"], 8, 3


def make_labelled_videos(groups=NUM_GROUPS, test_groups=NUM_TEST_GROUPS):
    """Return one video per class and group; the last groups are test videos."""
    labels = np.repeat(np.arange(len(CLASSES)), groups)
    group = np.tile(np.arange(groups), len(CLASSES))
    names = np.array([f"{CLASSES[c]}/g{g}.mp4" for c, g in zip(labels, group, strict=True)])
    parts = np.where(group < groups - test_groups, TRAIN, TEST).astype(np.int8)
    return LabelledVideos(Path("set.h5"), names, parts, labels.astype(np.int32),
                    np.array([f"g{g}" for g in group]), CLASSES)  # fmt: skip


def make_representations(labelled, parts, variant="composite", split=1):
    names = [ClipName(name, 0) for name in labelled.names]
    return VideoRepresentations("set", split, "rgb", variant, names, parts)


def make_features(labelled, signal, size=40, seed=0):
    """Return a direction for each class, scaled by `signal`, plus noise."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(len(labelled.labels), size))
    return (noise + signal * rng.normal(size=(len(CLASSES), size))[labelled.labels]).astype("f4")


def score(labelled, parts, labels=(1, 2, "all")):
    """Score representations over three draws per number of labels."""
    draws = dict.fromkeys(labels, 3)
    return score_representation(make_representations(labelled, parts), labelled, draws, 0.3, seed=1)


def test_discriminative_features_are_chosen_and_score_100_percent():
    labelled = make_labelled_videos()
    parts = {"mean": make_features(labelled, 0), "state": make_features(labelled, 9)}
    table = score(labelled, parts)
    assert set(table["part"]) == {"state"}
    assert (table["value"] == 100).all() and (table["validation"] == 100).all()
    counts = table.groupby(["measure", "labels", "over"]).size().to_dict()
    for measure in ("nearest_neighbours", "linear_probe"):
        expected = {("1", "draws"): 3, ("2", "draws"): 3, ("all", "test groups"): NUM_TEST_GROUPS}
        assert {key[1:]: n for key, n in counts.items() if key[0] == measure} == expected
    assert all(counts[measure, "none", "test groups"] == NUM_TEST_GROUPS for measure in RETRIEVAL)


def test_random_features_score_at_chance():
    labelled = make_labelled_videos(groups=60, test_groups=20)
    table = score(labelled, {"mean": make_features(labelled, 0)}, labels=("all",))
    for measure in ("nearest_neighbours", "linear_probe", "recall_1", "mean_average_precision"):
        rows = table[table["measure"] == measure]
        assert abs(rows["value"].mean() - 100 / 3) < 15, measure


def test_choices_do_not_depend_on_test_videos():
    labelled = make_labelled_videos(groups=12)
    parts = {"mean": make_features(labelled, 0.3), "state": make_features(labelled, 0.3, seed=1)}
    first = score(labelled, parts, labels=(2,))
    test = np.flatnonzero(labelled.parts == TEST)
    for part in parts.values():
        part[test] = np.random.default_rng(2).normal(size=part[test].shape) * 50
    labelled.labels[test] = np.roll(labelled.labels[test], 1)
    second = score(labelled, parts, labels=(2,))
    columns = ["measure", "labels", "part", "choice", "validation"]
    pd.testing.assert_frame_equal(first[columns], second[columns])
    assert (first["value"] != second["value"]).any()


def test_predictions_equal_scikit_learn():
    labelled = make_labelled_videos(groups=20, test_groups=8)
    x = make_features(labelled, 0.4)
    table = score(labelled, {"mean": x}, labels=(3,))
    train, test = labelled.parts == TRAIN, labelled.parts == TEST
    scaler = StandardScaler().fit(x[train])
    for measure, rows in table[table["labels"] == "3"].groupby("measure"):
        choice = float(rows["choice"].iloc[0].partition("=")[2])
        for draw, value in enumerate(rows["value"]):
            subset = draw_labelled_subset(labelled.labels[train], 3, 1, draw)
            model = (
                KNeighborsClassifier(int(choice), metric="cosine")
                if measure == "nearest_neighbours"
                else LogisticRegression(C=choice, max_iter=2000, tol=1e-8)
            )
            model.fit(scaler.transform(x[train])[subset], labelled.labels[train][subset])
            is_correct = model.predict(scaler.transform(x[test])) == labelled.labels[test]
            # scikit-learn breaks ties of neighbours by the number of the class.
            assert abs(value - 100 * is_correct.mean()) < (1e-4 if choice != 3 else 9), (
                measure,
                draw,
            )


def test_vote_of_neighbours_and_its_ties():
    angles = np.array([0.1, 0.2, 0.3, 0.4, 3.0])
    training = np.stack([np.cos(angles), np.sin(angles)], 1)
    labels, query = np.array([2, 0, 0, 2, 1]), np.array([[1.0, 0]])
    # k = 1: class 2; k = 3: two votes to one for 0; k = 4: a tie, and 2 is nearer.
    assert predict_by_neighbours(training, labels, query, [1, 3, 4]).ravel().tolist() == [2, 0, 2]


def test_retrieval_equals_scikit_learn():
    rng = np.random.default_rng(0)
    training, queries = rng.normal(size=(50, 6)), rng.normal(size=(7, 6))
    labels, query_labels = rng.integers(0, 4, 50), np.array([0, 1, 2, 3, 0, 1, 9])
    scores = score_retrieval(training, labels, queries, query_labels)
    for row, (query, label) in enumerate(zip(queries, query_labels, strict=True)):
        similar = training @ query / np.linalg.norm(training, axis=1)
        order = labels[np.argsort(-similar)]
        for count in (1, 5, 10):
            assert scores[f"recall_{count}"][row] == (label in order[:count])
        if label != 9:  # a class without training videos
            expected = average_precision_score(labels == label, similar)
            assert scores["mean_average_precision"][row] == pytest.approx(expected)
    assert scores["mean_average_precision"][6] == 0


def test_summary_weights_groups_by_videos_and_pairs_gains():
    common = {"corpus": "set", "stream": "rgb", "measure": "recall_1", "labels": "none",
              "over": "test groups", "part": "mean", "choice": ""}  # fmt: skip
    # Both splits test group a, which counts once.
    names = ["variant", "split", "unit", "videos", "value", "validation"]
    rows = [
        common | dict(zip(names, (v, s, u, n, x, 10 * s), strict=True))
        for v, values in (("percepts", (50, 0, 20)), ("composite", (60, 20, 50)))
        for (s, u, n), x in zip([(1, "a", 2), (2, "a", 2), (2, "b", 1)], values, strict=True)
    ]  # fmt: skip
    table = summarise_representation_scores(pd.DataFrame(rows)).set_index("variant")
    assert list(table.index) == ["percepts", "composite"]
    composite = table.loc["composite"]
    assert (composite["n"], composite["mean"], composite["validation"]) == (
        2,
        pytest.approx(42),
        15,
    )
    assert composite["gain_over_percepts"] == pytest.approx((15 * 4 + 30) / 5)
    # Clusters of 4 and 1 videos, gains 15 and 30 around 18, t of one degree of freedom.
    half_width = 12.7062 * np.sqrt(2 * ((4 * 3) ** 2 + 12**2)) / 5
    assert composite["gain_over_percepts_high"] == pytest.approx(18 + half_width, rel=1e-4)
    assert np.isnan(table.loc["percepts", "gain_over_percepts"])


def call(script, *options):
    """Run a script in this process, which avoids slow imports."""
    script.main(parse(script.Arguments, [str(option) for option in options]))


# From artifacts ----------------------------------------------------------------------------------

HTML_NAME = "walk/<i>&\"'é</script>.mp4"  # a name that must be escaped


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with artifacts of a small data set; all videos of a class are the same file."""
    folder, labelled = tmp_path_factory.mktemp("representations"), make_labelled_videos()
    labelled.names[-1] = HTML_NAME
    for number, name in enumerate(CLASSES):
        frames = np.full((20, 96, 64), 128, np.uint8)
        frames[:, :64] = 80 * number + np.arange(20)[:, None, None]
        encode_video(folder / f"{name}.mp4", frames, size=(64, 64), rate=10)
    files = [folder / f"{CLASSES[label]}.mp4" for label in labelled.labels]
    provenance = Provenance("test", {}, "0")
    with create(folder / "set.h5", "videos", provenance) as file:
        for name, values in (("path", labelled.names), ("group", labelled.groups),
                             ("classes", CLASSES)):  # fmt: skip
            write_strings(file, name, list(values))
        file["label"], file["splits"] = labelled.labels, labelled.parts[:, None]
        for name in ("id", "class", "frames", "width", "height", "rate", "duration", "status",
                     "sha256", "transcoded", "note"):  # fmt: skip
            file[name] = np.zeros(len(files))
    (folder / "set").mkdir()
    with create(folder / "set/0.h5", "clips", provenance) as file:
        clips = [Clip(name, 0, 20, 20, None, path)
                 for name, path in zip(labelled.names, files, strict=True)]  # fmt: skip
        write_clips(file, clips, None)
    for variant, signal in (("percepts", 0.5), ("random", 0.1), ("composite", 9)):
        parts = {
            "mean": make_features(labelled, signal),
            "state": make_features(labelled, signal / 2),
        }
        write_representations(folder / f"{variant}.h5", variant, labelled.names, parts)
    return folder


def write_representations(path, variant, names, parts):
    """Write an artifact as encode_videos does, with one block per video."""
    with create(path, "representations", Provenance("test", {}, "0")) as file:
        file.attrs.update(
            dataset="set", split=1, stream="rgb", variant=variant, block_frames=16, block_stride=8
        )
        write_names(file, [ClipName(name, 0) for name in names])
        file["block_offsets"] = np.arange(len(names) + 1)
        write_arrays(file, "blocks", parts)
        write_arrays(file, "videos", parts)


@pytest.fixture(scope="module")
def scores(folder):
    """Scores of the representations, written with one and with three threads."""
    files = [folder / f"{name}.h5" for name in ("percepts", "random", "composite")]
    paths = [folder / "scores.csv", folder / "again.csv"]
    for threads, path in zip((1, 3), paths, strict=True):
        options = ["--labels", "1", "all", "--draws", "2", "1", "--threads", threads]
        call(score_representations, "--representations", *files, "--videos", folder / "set.h5",
             *options, "--output", path)  # fmt: skip
    return paths


def test_scores_do_not_depend_on_the_number_of_threads(scores):
    assert scores[0].read_bytes() == scores[1].read_bytes()
    path = scores[0].with_name("representations.csv")
    call(summarise_representations, "--scores", scores[0], "--output", path)
    table = pd.read_csv(path).set_index(["labels", "measure", "variant"])
    composite = table.loc["all", "nearest_neighbours", "composite"]
    assert composite["mean"] == 100 and composite["gain_over_percepts"] > 0
    assert composite["chosen"] == "mean, k=1"
    assert len(table) == 3 * (2 * 2 + len(RETRIEVAL))


def test_representations_of_another_data_set_are_refused(folder, tmp_path):
    other = tmp_path / "other.h5"
    other.write_bytes((folder / "set.h5").read_bytes())
    files = ["--representations", folder / "percepts.h5", "--videos", other]
    with pytest.raises(UserError, match=r"percepts\.h5: expected .* 'other'.* found .* 'set'"):
        call(
            score_representations,
            *files,
            "--labels",
            "1",
            "--draws",
            "1",
            "--output",
            tmp_path / "scores.csv",
        )


def gallery_options(folder, scores):
    """Return the options that the page and the figure share."""
    return ["--videos", folder / "set.h5", "--scores", scores[0], "--clips", folder / "set/0.h5"]


def make_page(folder, scores, path, *options):
    files = ["--percepts", folder / "percepts.h5", "--encoded", folder / "composite.h5"]
    call(map_representations, *files, *gallery_options(folder, scores), "--output", path, *options)


def draw_figure(folder, scores, *options):
    call(draw_retrieval, "--representations", folder / "percepts.h5", folder / "composite.h5",
         *gallery_options(folder, scores), *options)  # fmt: skip


CLICK = """<script>
setTimeout(() => {
  const source = Bokeh.documents[0].get_model_by_name("videos_set");
  const map = Bokeh.documents[0].get_model_by_name("map_set_composite");
  const view = Bokeh.index.get_by_id(map.id), canvas = view.canvas_view.events_el;
  const index = source.data.video.indexOf("walk/g6.mp4"), box = canvas.getBoundingClientRect();
  const position = {
    clientX: box.left + view.frame.x_scale.compute(source.data.x_composite[index]),
    clientY: box.top + view.frame.y_scale.compute(source.data.y_composite[index]),
    bubbles: true, composed: true, pointerId: 1, isPrimary: true, pointerType: "mouse",
    button: 0,
  };
  for (const kind of ["pointermove", "pointerdown", "pointerup"])
    canvas.dispatchEvent(new PointerEvent(kind, {...position, buttons: +(kind == "pointerdown")}));
}, 1000);
</script></body>"""


def captions(dom):
    return re.findall(r"<figcaption>(.*?)</figcaption>", dom)


@pytest.fixture(scope="module")
def page(folder, scores, run_script):
    """The page, which is the same when it is rendered twice."""
    options = ["--percepts", folder / "percepts.h5", "--encoded", folder / "composite.h5"]
    pages = [folder / "page.html", folder / "page_again.html"]
    for path in pages:
        run_script(
            "map_representations", *options, *gallery_options(folder, scores), "--output", path
        )
    assert pages[0].read_bytes() == pages[1].read_bytes()
    return pages[0]


@pytest.mark.slow
def test_click_on_the_map_shows_a_video_and_its_neighbours(page, tmp_path):
    path, text = tmp_path / "page.html", page.read_text()
    assert "All 9 test videos" in text
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="https?://', text)
    before = captions(opened(page, tmp_path / "profile"))
    path.write_text(text.replace("</body>", CLICK))
    dom = opened(path, tmp_path / "profile")
    clicked = captions(dom)
    assert before[0] != clicked[0] == "walk · walk/g6.mp4"
    assert len(clicked) == 1 + 2 * 5 == dom.count('<img src="data:image/jpeg;base64,/9j/')
    # The encoder separates the classes, so that all five neighbours are correct.
    assert all(re.match(r"✓ walk · walk/g[0-4]\.mp4$", caption) for caption in clicked[-5:])
    assert any(caption.startswith("✗") for caption in clicked[1:6])


def test_page_reports_a_random_selection_of_videos(folder, scores, tmp_path):
    make_page(folder, scores, tmp_path / "page.html", "--queries", "4")
    text = (tmp_path / "page.html").read_text()
    assert "4, drawn at random, of 9 test videos" in text


def test_figure_is_reproducible(folder, scores, tmp_path):
    paths = [tmp_path / f"{name}.{kind}" for name in ("a", "b") for kind in ("png", "svg")]
    for pair in (paths[:2], paths[2:]):
        draw_figure(folder, scores, "--queries", "3", "--output", *pair)
    assert paths[1].read_bytes() == paths[3].read_bytes()
    assert cv2.imread(str(paths[0])).shape[1] > 1000


def test_missing_video_is_named(folder, scores, tmp_path):
    (folder / "run.mp4").rename(folder / "elsewhere.mp4")
    message = r"run\.mp4: expected the video 'run/g\d\.mp4' as it was indexed"
    try:
        with pytest.raises(UserError, match=message):
            draw_figure(folder, scores, "--output", tmp_path / "a.png")
    finally:
        (folder / "elsewhere.mp4").rename(folder / "run.mp4")


def test_projector_shows_the_same_videos(folder, scores, tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    for _ in range(2):  # the second run replaces the first
        make_page(folder, scores, tmp_path / "page.html", "--tensorboard", tmp_path / "tb")
    written = tmp_path / "tb/representations/set"
    config = (written / "projector_config.pbtxt").read_text()
    assert re.findall(r'tensor_name: "(.+?):', config) == ["percepts", "composite"]
    lines = next(written.rglob("metadata.tsv")).read_text().splitlines()
    assert lines[0] == "class\tvideo" and len(lines) == 10
    assert next(written.rglob("sprite.png")).exists()
