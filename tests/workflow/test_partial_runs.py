"""Only files that depend on a change are made again, and with the same content."""

import re
import shutil

import h5py
from projects import copy, counts, planned, snakemake

from video_lstm.video.file_scan import assign_shard


def test_forced_and_deleted_files_are_recreated_with_the_same_content(project):
    def read(path):
        """All data except speeds."""
        speed = re.compile("throughput|model_flops_utilization")
        contents = {}
        with h5py.File(path) as file:
            contents["identity"] = file.attrs["identity"]
            file.visititems(lambda name, item: contents.update({name: item[()].tobytes()})
                            if isinstance(item, h5py.Dataset) and not speed.search(name)
                            else None)  # fmt: skip
        return contents

    artifacts = [project / f"results/{name}.h5" for name in (
        "pretrain/tiny_split1/rgb/composite", "finetune/tiny/split1/rgb/composite/1")]  # fmt: skip
    before = [read(path) for path in artifacts]
    artifacts[0].unlink()
    assert planned(project) == {}  # the table is there, and nothing that it needs has changed
    target = str(artifacts[1].relative_to(project))
    output = snakemake(project, target, "--forcerun", "pretrain").stdout
    assert counts(output) == {"pretrain": 1, "finetune_classifier": 1}
    assert [read(path) for path in artifacts] == before


def test_a_new_video_reruns_its_shard_and_a_new_class_gives_the_bytes_of_a_clean_run(
    checkout, finished, tmp_path
):
    shards = [f"results/percepts/tiny/rgb/{shard}.h5" for shard in (0, 1)]
    targets = [*shards, "results/videos/tiny.h5", "results/percepts/unlabelled/rgb/0.h5"]
    options = ["--config", "datasets={tiny: {root: videos}}"]
    grown, clean = (copy(checkout, tmp_path / name) for name in ("grown", "clean"))
    for folder in (grown, clean):
        for folder_name in ("demo", "checkpoints/onnx"):  # these take long to make
            copy(finished / "results" / folder_name, folder / "results" / folder_name)
        copy(finished / "results/demo/labelled", folder / "videos")
    snakemake(grown, *targets, *options)
    before = [(grown / shard).read_bytes() for shard in shards]
    name = "walk/one_g1_more.mp4"
    for folder in (grown, clean):
        shutil.copy2(min((folder / "videos/walk").iterdir()), folder / "videos" / name)
    output = snakemake(grown, *targets, *options).stdout
    assert counts(output) == {
        "probe_videos": 1, "index_videos": 1, "sample_clips": 1, "extract_percepts": 1,
    }  # fmt: skip
    other_shard = 1 - assign_shard(name, 2)
    assert (grown / shards[other_shard]).read_bytes() == before[other_shard]
    assert (grown / shards[1 - other_shard]).read_bytes() != before[1 - other_shard]
    for folder in (grown, clean):
        copy(folder / "videos/walk", folder / "videos/new")
    touched = len(
        {assign_shard(f"new/{path.name}", 2) for path in (grown / "videos/new").iterdir()}
    )
    output = snakemake(grown, *targets, *options).stdout
    assert counts(output) == {
        "probe_videos": touched, "index_videos": 1, "sample_clips": touched,
        "extract_percepts": touched,
    }  # fmt: skip
    snakemake(clean, *targets, *options)
    for target in targets:
        assert (grown / target).read_bytes() == (clean / target).read_bytes()
    for path in (grown / "videos").rglob("*.mp4"):
        path.touch()
    assert "extract_percepts" in counts(snakemake(grown, "-n", *targets, *options).stdout)
    snakemake(grown, *targets, *options, "--until", "probe_videos")
    assert counts(snakemake(grown, "-n", *targets, *options).stdout) == {}
