"""UCF-101 and HMDB-51 in the layout of the downloads, from small videos to all four tables."""

import pandas as pd
import pytest
from projects import copy, planned, snakemake
from video_files import make

UCF = {"Archery": "Archery", "HandstandPushups": "HandStandPushups"}
HMDB = {"shake_hands": "shake_hands", "wave": "wave"}
FILMS = ["#122_Up_The_Beach_In_Chiba__Japan", '(HQ)_Dan\'s "Climb"', "-Best & last [x]", "Été!"]
CONFIG = """
datasets:
  ucf101: {kind: ucf101, root: data/UCF-101, small_set_labels: 1}
  hmdb51: {kind: hmdb51, root: data/hmdb51_org, lists: data/lists, small_set_labels: 1}
unlabelled: {root: data/hmdb51_org, clip_seconds: 1, hours: 0.001}
video: {frame_rate: 10}
flow: {height: 32, width: 40}
percepts: {height: 32, width: 40, crop_size: 32}
flow_convnet: {channels: [2, 2, 2, 2, 2], fc6: 4, fc7: 4, crop_size: 32,
               training: {steps: 1, batch_size: 2}}
mnist: {image_size: 16, digit_size: 8, num_test_sequences: 2}
patches: {patch_size: 8, color: false, height: 32, width: 40, num_train_sequences: 4,
          num_test_sequences: 2}
pretraining:
  variants: [composite]
  percepts: {hidden_size: 4, input_frames: 4, future_frames: 2, videos: [unlabelled],
             training: {steps: 1, batch_size: 2}}
  mnist: {hidden_size: 4, input_frames: 2, future_frames: 2, training: {steps: 1, batch_size: 2}}
  patches: {hidden_size: 4, input_frames: 2, future_frames: 2, training: {steps: 1, batch_size: 2}}
finetuning:
  labels: [all]
  num_draws: 2
  validation_fraction: 0.4
  training: {steps: 1, batch_size: 2, warmup_steps: 0}
"""


def plant(data):
    """Create both data sets under `data`, with the names and labels of the official ones.

    All files differ, because copies of test videos are left out of the unlabelled videos.
    """
    video = make(data.parent / "video.avi", "-c:v libxvid", size="64x48").read_bytes()
    for name, spelled in UCF.items():
        for group in range(1, 7):
            path = data / "UCF-101" / name / f"v_{spelled}_g{group:02d}_c01.avi"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(video + path.name.encode())
    lists = data / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Archery\n2 HandstandPushups\n")
    for split in (1, 2, 3):
        files = [(f"{n}/v_{n}_g{g:02d}_c01.avi", g) for n in UCF for g in range(1, 7)]
        test_groups = {2 * split - 1, 2 * split}
        (lists / f"testlist0{split}.txt").write_text(
            "".join(f"{file}\n" for file, group in files if group in test_groups)
        )
        (lists / f"trainlist0{split}.txt").write_text(
            "".join(f"{f} {1 + f.startswith('H')}\n" for f, g in files if g not in test_groups)
        )
    (data / "lists").mkdir()
    for name in HMDB:
        names = [f"{film}_{name}_f_cm_np1_ri_bad_{n}.avi" for film in FILMS for n in (0, 1)]
        for file in names:
            path = data / "hmdb51_org" / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(video + path.name.encode())
        for split in (1, 2, 3):
            parts = [(1, 1, 1, 1, 1, 0, 2, 2)[(n + 2 * split) % 8] for n in range(8)]
            (data / "lists" / f"{name}_test_split{split}.txt").write_text(
                "".join(f"{file} {part} \n" for file, part in zip(names, parts, strict=True))
            )


@pytest.fixture(scope="module")
def results(checkout, tmp_path_factory):
    """Results of a run on both data sets."""
    folder = copy(checkout, tmp_path_factory.mktemp("official") / "project")
    plant(folder / "data")
    (folder / "official.yaml").write_text(CONFIG)
    snakemake(folder, "tables", config="official.yaml")
    return folder / "results"


def test_all_four_tables_with_the_published_results(results):
    one, two, three, four = (pd.read_csv(results / f"table{n}.csv") for n in (1, 2, 3, 4))
    models = ["single_frame", "lstm_baseline", "composite"]
    assert list(one.variant) == list(two.variant)[:3] == models
    assert one.ucf101_rgb_all_published.tolist() == [72.2, 74.5, 75.8]
    assert one.hmdb51_rgb_all_published.tolist() == [40.1, 42.8, 44.1]
    rows = three.set_index("variant")
    assert rows.loc["lstm_baseline", "ucf101_rgb_all_published"] == 74.5
    assert rows.loc["composite", "ucf101_rgb_1_mean"] > 0
    fused = four[four.stream == "rgb+flow1"].set_index("corpus")
    assert fused.n.to_dict() == {"ucf101": 2, "hmdb51": 2}  # draws
    published = four[four.stream == "rgb+flow10"].set_index("corpus")
    assert published.published["ucf101"] == 84.3
    # Each data set has four test videos, so accuracies are multiples of 25%.
    scores = pd.read_csv(results / "scores.csv").query("measure == 'accuracy'")
    assert set(scores.corpus) == {"ucf101", "hmdb51"}
    assert (scores.value % 25 == 0).all()


def test_each_classifier_is_validated_with_each_choice_of_settings(results):
    choices = "finetuning={choices: [{dropout: 0.1}, {training: {learning_rate: 0.01}}]}"
    jobs = planned(results.parent, "--config", choices, config="official.yaml")
    assert jobs["validate_classifier"] == 2 * jobs["finetune_classifier"]
