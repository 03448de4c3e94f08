"""Features that the user has already, in place of a network."""

import h5py
import numpy as np
import pytest
from projects import counts, snakemake

from video_lstm.errors import UserError
from video_lstm.percepts.own_features import cut_clips, features_size, find_feature_files
from video_lstm.sequences.percepts import PerceptStore
from video_lstm.video.clips import Clip
from video_lstm.video.files import read_files


def clip(video, first, frames):
    return Clip(video, first, frames, 100, 10.0, video)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path


def test_clips_are_rows_of_the_files_of_their_videos(folder):
    arrays = np.random.default_rng(0).standard_normal((3, 20, 4)).astype(np.float32)
    np.save(folder / "run/a.npy", arrays[0])
    np.save(folder / "run/b.mp4.npy", arrays[1][:19])  # a frame less, as others round durations
    with h5py.File(folder / "c.h5", "w") as file:
        file["anything"] = arrays[2].astype(np.float64)
    clips = [clip("run/b.mp4", 10, 10), clip("run/a.avi", 0, 20), clip("c.mkv", 3, 5)]
    files = find_feature_files(folder, [clip.video for clip in clips])
    cut, size = cut_clips(clips, files, dict.fromkeys(files, 20))
    last, whole, middle = cut
    assert size == 4 and whole.dtype == np.float16
    np.testing.assert_array_equal(whole, arrays[0].astype(np.float16))
    np.testing.assert_array_equal(middle, arrays[2][3:8].astype(np.float16))
    expected = np.concatenate([arrays[1][10:19], arrays[1][18:19]])
    np.testing.assert_array_equal(last, expected.astype(np.float16))


def test_a_name_that_two_videos_share_is_the_file_of_neither(folder):
    np.save(folder / "run/a.npy", np.zeros((5, 2)))
    assert find_feature_files(folder, ["run/a.mp4", "run/a.avi"]) == {
        "run/a.mp4": None,
        "run/a.avi": None,
    }


def test_the_size_of_features_is_read_from_the_first_file(folder):
    with pytest.raises(UserError, match=r"expected files \.npy or \.h5 or \.hdf5 below .* none"):
        features_size(folder)
    np.save(folder / "run/a.npy", np.ones((3, 7)))
    assert features_size(folder) == 7


def test_everything_that_does_not_fit_is_named_at_once(folder):
    good = np.ones((20, 4), np.float32)
    np.save(folder / "good.npy", good)
    np.save(folder / "short.npy", good[:17])
    np.save(folder / "long.npy", np.repeat(good, 2, 0))
    nan, huge = good.copy(), good.copy()
    nan[7, 2], huge[3, 0] = np.nan, 1e6
    np.save(folder / "nan.npy", nan)
    np.save(folder / "huge.npy", huge)
    names = ["good", "short", "long", "nan", "huge"]
    clips = [clip(f"{name}.mp4", 0, 20) for name in names]
    files = find_feature_files(folder, [clip.video for clip in clips])
    with pytest.raises(UserError) as error:
        cut_clips(clips, files, dict.fromkeys(files, 20))
    message = str(error.value)
    for words in (
        "short.npy: expected 20 rows, one for each frame of short.mp4 at 10 frames per second "
        "(video.frame_rate), found 17",
        "long.npy: expected 20 rows",
        "nan.npy: expected numbers of at most 65504, found NaN in row 7",
        "huge.npy: expected numbers of at most 65504, found a value of 1e+06 in row 3",
    ):
        assert words in message
    assert "good.npy" not in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "other.mp4: no file of features"),
        (np.ones((20, 5)), "other.npy: expected 4 values a frame as in most files, found 5"),
        (np.ones(20), "other.npy: expected numbers (frames, values), found float64 (20,)"),
        (np.full((20, 4), "a"), "expected numbers (frames, values), found <U1"),
        (b"text", "other.npy: expected an array, it cannot be read"),
        (np.array([None]), "other.npy: expected an array, it cannot be read"),
    ],
)
def test_a_missing_or_damaged_file_is_named(folder, content, words):
    for name in ("a", "b"):
        np.save(folder / f"{name}.npy", np.ones((20, 4)))
    if isinstance(content, bytes):
        (folder / "other.npy").write_bytes(content)
    elif content is not None:
        np.save(folder / "other.npy", content, allow_pickle=True)
    clips = [clip(f"{name}.mp4", 0, 20) for name in ("a", "b", "other")]
    files = find_feature_files(folder, [clip.video for clip in clips])
    with pytest.raises(UserError, match=r"percepts\.features") as error:
        cut_clips(clips, files, dict.fromkeys(files, 20))
    assert words in str(error.value)


def test_the_workflow_trains_on_them_and_classifies_new_videos(project, tmp_path, run_script):
    features, random = project / "features", np.random.default_rng(0)
    for dataset, shards in ("tiny", (0, 1)), ("unlabelled", (0,)):
        table = read_files([project / f"results/probed/{dataset}/{shard}.h5" for shard in shards])
        for file in table.files:
            path = (features / dataset / file.path).with_suffix(".npy")
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, random.standard_normal((file.frames, 6)).astype(np.float16))
    options = ["--config", "percepts={features: features}"]
    classifier = "results/finetune/tiny/split1/rgb/composite/all.h5"
    output = snakemake(project, classifier, *options).stdout
    assert counts(output)["import_features"] == 3 and "extract_percepts" not in counts(output)
    store = PerceptStore(sorted((project / "results/percepts/tiny/rgb").glob("*.h5")))
    video = store.names[0].video
    stored = (features / "tiny" / video).with_suffix(".npy")
    np.testing.assert_array_equal(store.clip(0), np.load(stored))

    call = ["classify_videos", "--videos", project / "results/demo/labelled" / video]
    call += ["--classifier", project / classifier, "--output", tmp_path / "classes.csv"]
    done = run_script(*call, check=False)
    assert done.returncode == 1 and "--features: expected a folder, found none" in done.stderr
    run_script(*call, "--features", stored.parent)
    assert len((tmp_path / "classes.csv").read_text().splitlines()) == 2

    np.save(stored, np.load(stored)[:-5])
    output = snakemake(project, classifier, *options, check=False).stdout
    assert f"{stored.relative_to(project)}: expected" in output and "rows" in output
