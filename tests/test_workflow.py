"""The true workflow at its smallest: from rendered video files to results/table2.csv.

One clean run serves all the tests; what they change, they change in a copy.
"""

import base64
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from faults import check_whole, kill_run, leftovers, made, wait_for_orphans
from projects import CONFIG, copy, counts, planned, snakemake
from safetensors import safe_open

from video_lstm.artifacts import identity
from video_lstm.sequences.fixed import as_pixels, normalised
from video_lstm.sequences.tiles import read_tiled
from video_lstm.training.pretrained import load_pretrained
from video_lstm.video.decode import read_frames
from video_lstm.video.sampling import whole_video
from video_lstm.video.scan import shard_of

ROWS = ["single_frame", "lstm_baseline", "conditional_future_predictor", "composite"]
YARDSTICKS = ["copy_last_frame", "mean_frame"]


@pytest.fixture(scope="session")
def finished(checkout, tmp_path_factory):
    """The project after one run."""
    folder = copy(checkout, tmp_path_factory.mktemp("finished") / "project")
    snakemake(folder)  # no target: all tables
    return folder


@pytest.fixture
def project(finished, tmp_path):
    """A copy of the finished project, to change."""
    return copy(finished, tmp_path / "project")


def test_the_table_has_its_rows_columns_and_sane_numbers(finished):
    table = pd.read_csv(finished / "results/table2.csv").set_index("variant")
    assert list(table.index) == ROWS + YARDSTICKS
    accuracies = [f"tiny_{s}_{n}_{m}" for s in ("rgb", "flow1") for n in ("1", "all")
                  for m in ("mean", "std")]  # fmt: skip
    assert list(table.columns) == ["mnist_cross_entropy", "patches_squared_error", *accuracies]
    assert table.loc[ROWS, accuracies].notna().all().all()
    assert table.loc[YARDSTICKS, accuracies].isna().all().all()
    assert table.loc[ROWS, accuracies].stack().between(0, 100).all()
    errors = table[["mnist_cross_entropy", "patches_squared_error"]]
    assert errors.loc[ROWS[:2]].isna().all().all()
    assert (errors.loc[ROWS[2:]] > 0).all().all()


def test_the_table_is_the_scores_averaged(finished):
    scores = pd.read_csv(finished / "results/scores.csv", dtype={"labels": str})
    table = pd.read_csv(finished / "results/table2.csv").set_index("variant")
    chosen = scores.query("measure == 'accuracy' and variant == 'composite' and stream == 'rgb'")
    accuracy = chosen[chosen.labels == "1"].value
    assert len(accuracy) == 2  # draws
    assert table.loc["composite", "tiny_rgb_1_mean"] == pytest.approx(accuracy.mean(), abs=0.06)


def test_tables_1_3_and_4_are_made_of_the_same_classifiers(finished):
    tables = {n: pd.read_csv(finished / f"results/table{n}.csv") for n in (1, 2, 3, 4)}
    tables = {n: table.set_index("variant") for n, table in tables.items()}
    assert list(tables[1].index) == ["single_frame", "lstm_baseline", "composite"]
    assert list(tables[3].index) == ROWS[1:]
    for n, cell in ((1, "flow1_all"), (1, "rgb_all"), (3, "rgb_1"), (3, "rgb_all")):
        ours = tables[n][f"tiny_{cell}_mean"]
        assert ours.equals(tables[2].loc[ours.index, f"tiny_{cell}_mean"]), (n, cell)
    assert list(tables[4].stream) == ["rgb", "flow1", "rgb+flow1"]
    assert tables[4]["mean"].between(0, 100).all()


def test_a_second_run_does_nothing_and_says_so(finished):
    assert "Nothing to be done" in snakemake(finished, "results/table2.csv").stdout


def test_no_temporary_file_and_no_checkpoint_is_left(finished):
    assert not leftovers(finished)


def test_every_artifact_tells_where_it_comes_from(finished):
    artifacts = [p for p in (finished / "results").rglob("*.h5") if "checkpoints" not in p.parts]
    assert len(artifacts) > 30
    identities = {}
    for path in artifacts:
        with h5py.File(path) as file:
            told = dict(file.attrs)
        assert {"schema", "stage", "settings", "code", "inputs", "versions", "identity"} <= set(
            told
        )
        assert str(finished) not in str(told)
        identities.setdefault(told["identity"], path)
    assert len(identities) == len(artifacts)


KILLS = int(os.environ.get("VIDEO_LSTM_KILLS", "12"))
"""More of them go on over the figures, the comparisons and the report."""
KILLED = ["results/table2.csv"] if KILLS <= 12 else ["tables", "pages", "capacity", "convlstm"]


def test_killed_at_random_moments_it_ends_with_the_same_tables(finished, checkout, tmp_path):
    reference = finished
    if KILLS > 12:
        reference = copy(finished, tmp_path / "reference")
        snakemake(reference, *KILLED)
    folder = copy(checkout, tmp_path / "project")
    command = [sys.executable, "-m", "snakemake", *KILLED, "--cores", "2", "--configfile", CONFIG]
    jobs = sum(counts(snakemake(folder, "-n", *KILLED).stdout).values())
    draw, checked, sessions, hit, kinds = random.Random(1), set(), [], Counter(), Counter()
    for kill in range(KILLS):
        left = jobs - len(list((folder / "results").glob("benchmarks/**/*.tsv")))
        found = kill_run(command, folder, draw, max(1, 2 * left // (KILLS - kill + 2)))
        check_whole(folder, reference, checked)
        if found is None:
            break
        session, kind, at_work = found
        sessions.append(session)
        kinds[kind] += 1
        hit.update(at_work or ["between two scripts"])
    print(f"{sum(kinds.values())} kills: {dict(kinds)}; at work then: {dict(hit)}")
    assert sum(kinds.values()) > 0.7 * KILLS and len(hit) > 3
    snakemake(folder, *KILLED)
    check_whole(folder, reference, checked)
    for name in ("scores.csv", "table2.csv"):
        assert (folder / "results" / name).read_bytes() == (
            reference / "results" / name
        ).read_bytes()
    wait_for_orphans(sessions)
    assert not leftovers(folder)
    for path in made(folder):
        if path.suffix == ".h5":
            assert identity(path) == identity(reference / path.relative_to(folder))


def test_a_second_run_at_the_same_time_says_who_is_working(project):
    command = [sys.executable, "-m", "snakemake", "results/table2.csv", "--cores", "1"]
    command += ["--forcerun", "pretrain", "--configfile", CONFIG]
    with subprocess.Popen(
        command, cwd=project, stdout=-3, stderr=-3, start_new_session=True
    ) as run:
        lock = project / ".snakemake/run.lock"
        while not (lock.exists() and lock.read_text() == str(run.pid)):
            assert run.poll() is None
            time.sleep(0.1)
        second = snakemake(project, "--forcerun", "make_table2", "results/table2.csv", check=False)
        os.killpg(run.pid, signal.SIGKILL)
    assert second.returncode != 0
    assert f"another run (process {run.pid}) is working in" in second.stdout


FINETUNE = {"finetune_classifier": 16, "collect_scores": 1, "make_table2": 1}
PIXELS = {"measure_predictions": 2, "collect_scores": 1, "make_table2": 1}


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("finetuning={dropout: 0.1}", FINETUNE),
        ("finetuning={labels: [1, 2, all]}", FINETUNE | {"finetune_classifier": 8}),
        (
            "pretraining={mnist: {forget_bias: 1.0}}",
            PIXELS | {"pretrain": 2},
        ),
        (
            "pretraining={variants: [composite, conditional_future_predictor, autoencoder]}",
            {"pretrain": 4,
             "measure_predictions": 2, "finetune_classifier": 4, "collect_scores": 1,
             "make_table2": 1},
        ),
        (
            "patches={test_videos: 0.5}",
            PIXELS | {"cut_patches": 1, "pretrain": 2},
        ),
        (
            "flow_convnet={fc6: 9}",
            {"train_flow_convnet": 1, "extract_flow_percepts": 3, "pretrain": 2,
             "finetune_classifier": 8, "collect_scores": 1, "make_table2": 1},
        ),
    ],
)  # fmt: skip
def test_a_changed_setting_makes_only_what_depends_on_it(finished, setting, expected):
    assert planned(finished, "--config", setting) == expected


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("evaluation/tables.py", {"collect_scores": 1, "make_table2": 1}),
        ("models/classifier.py", FINETUNE),
        (
            "models/lstm.py",
            {"pretrain": 8,
             "measure_predictions": 4} | FINETUNE,
        ),
        (
            "flow/methods.py",
            {"extract_flow": 3, "train_flow_convnet": 1, "extract_flow_percepts": 3,
             "pretrain": 2, "finetune_classifier": 8, "collect_scores": 1,
             "make_table2": 1},
        ),
    ],
)  # fmt: skip
def test_a_changed_module_makes_only_what_imports_it(project, module, expected):
    path = project / "workflow_scripts/video_lstm" / module
    path.write_text(path.read_text() + "\nCHANGED = True\n")
    assert planned(project) == expected
    path.write_text(path.read_text().replace("CHANGED = True", "# only a comment"))
    assert planned(project) == {}


def test_what_is_forced_or_deleted_is_made_again_the_same(project):
    def read(path):
        """All but how fast it was."""
        speed = re.compile("throughput|matrix_product_share")
        told = {}
        with h5py.File(path) as file:
            told["identity"] = file.attrs["identity"]
            file.visititems(lambda name, item: told.update({name: item[()].tobytes()})
                            if isinstance(item, h5py.Dataset) and not speed.search(name)
                            else None)  # fmt: skip
        return told

    artifacts = [project / f"results/{name}.h5" for name in (
        "pretrain/tiny_split1/rgb/composite", "finetune/tiny/split1/rgb/composite/1")]  # fmt: skip
    before = [read(path) for path in artifacts]
    artifacts[0].unlink()
    assert planned(project) == {}  # the table is there, and nothing that it needs has changed
    target = str(artifacts[1].relative_to(project))
    told = snakemake(project, target, "--forcerun", "pretrain").stdout
    assert counts(told) == {"pretrain": 1, "finetune_classifier": 1}
    assert [read(path) for path in artifacts] == before


def test_a_video_more_makes_its_own_shard_and_a_class_more_the_bytes_of_a_clean_run(
    checkout, finished, tmp_path
):
    shards = [f"results/percepts/tiny/rgb/{shard}.h5" for shard in (0, 1)]
    targets = [*shards, "results/videos/tiny.h5", "results/percepts/unlabelled/rgb/0.h5"]
    options = ["--config", "datasets={tiny: {root: videos}}"]
    grown, clean = (copy(checkout, tmp_path / name) for name in ("grown", "clean"))
    for folder in (grown, clean):
        copy(finished / "results/demo", folder / "results/demo")
        copy(finished / "results/demo/labelled", folder / "videos")
    snakemake(grown, *targets, *options)
    before = [(grown / shard).read_bytes() for shard in shards]
    name = "walk/one_g1_more.mp4"
    for folder in (grown, clean):
        shutil.copy2(min((folder / "videos/walk").iterdir()), folder / "videos" / name)
    told = snakemake(grown, *targets, *options).stdout
    assert counts(told) == {
        "probe_videos": 1, "index_videos": 1, "sample_clips": 1, "extract_percepts": 1,
    }  # fmt: skip
    kept = 1 - shard_of(name, 2)
    assert (grown / shards[kept]).read_bytes() == before[kept]
    assert (grown / shards[1 - kept]).read_bytes() != before[1 - kept]
    for folder in (grown, clean):
        copy(folder / "videos/walk", folder / "videos/new")
    touched = len({shard_of(f"new/{path.name}", 2) for path in (grown / "videos/new").iterdir()})
    told = snakemake(grown, *targets, *options).stdout
    assert counts(told) == {
        "probe_videos": touched, "index_videos": 1, "sample_clips": touched,
        "extract_percepts": touched,
    }  # fmt: skip
    snakemake(clean, *targets, *options)
    for target in targets:
        assert (grown / target).read_bytes() == (clean / target).read_bytes()


def test_a_wrong_setting_and_a_wrong_path_are_told_before_anything_runs(checkout):
    done = snakemake(checkout, "-n", "--config", "flow={metod: dis}", check=False)
    assert done.returncode != 0
    assert "unknown setting 'flow.metod'; did you mean 'method'?" in done.stdout
    assert "Traceback" not in done.stdout
    done = snakemake(checkout, "-n", "--config", "unlabelled={root: nowhere}", check=False)
    assert done.returncode != 0
    assert "unlabelled.root: expected a folder of videos, found nothing at nowhere" in done.stdout
    done = snakemake(checkout, "-n", "--config", "percepts={weights: no.pth}", check=False)
    assert "percepts.weights: expected a file of weights, found none at no.pth" in done.stdout


def test_what_a_job_said_when_it_failed_stands_at_the_end(checkout, tmp_path):
    folder = copy(checkout, tmp_path / "project")
    video = folder / "videos/a.mp4"
    video.parent.mkdir()
    video.write_bytes(b"no class folder")
    mine = "datasets={mine: {root: videos, splits: {by: fraction}}}"
    target = "results/videos/mine.h5"
    done = snakemake(folder, target, "--config", mine, check=False)
    end = "\n".join(done.stdout.splitlines()[-6:])
    assert "results/logs/index_videos/mine.log: videos: expected a folder for each class" in end
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    "stage", ["clips", "flow", "percepts", "encoders", "classifiers", "tables"]
)
def test_the_stages_have_names(finished, stage):
    assert "Nothing to be done" in snakemake(finished, stage, "-n").stdout


def test_the_comparisons_and_figures_are_made_apart_from_the_table(project):
    wanted = ["results/convlstm.csv", "results/frame_errors.csv"]
    wanted += [f"results/figures/{name}.svg" for name in ("samples_mnist_1", "curves_patches")]
    wanted += [f"results/figures/{name}_mnist_composite.png" for name in ("features", "activity")]
    snakemake(project, *wanted)
    table = pd.read_csv(project / "results/convlstm.csv").set_index("model")
    assert list(table.index) == [
        "convlstm",
        "lstm_equal_parameters",
        "lstm_equal_time",
        *YARDSTICKS,
    ]
    same, longer = table.loc["lstm_equal_parameters"], table.loc["lstm_equal_time"]
    assert same["parameters"] == longer["parameters"] and same["steps"] == 4
    errors = pd.read_csv(project / "results/frame_errors.csv")
    assert set(errors["test"]) == {"mnist", "mnist_1", "mnist_3", "patches"}
    assert set(errors["model"]) == {*ROWS[2:], *YARDSTICKS}
    assert planned(project) == {}


@pytest.mark.parametrize("stage", ["capacity", "convlstm", "figures"])
def test_what_is_apart_from_the_table_has_names_too(finished, stage):
    assert f"{stage} " in snakemake(finished, stage, "-n").stdout


def test_the_workflow_passes_snakemakes_own_lint(checkout):
    done = snakemake(checkout, "--lint", config=None, check=False)
    assert "in a good condition" in done.stdout, done.stdout


# Trained models on new videos, with no Snakemake ---------------------------------------------

CLASSIFIER = "finetune/tiny/split1/{}/composite/all.h5"


@pytest.mark.parametrize("stream", ["rgb", "flow1"])
def test_new_videos_get_the_scores_that_the_pipeline_gives_them(
    finished, run_script, tmp_path, stream
):
    results = finished / "results"
    with h5py.File(results / CLASSIFIER.format(stream)) as file:
        rows, scores = file["video"][()], file["scores"][0]
    with h5py.File(results / "videos/tiny.h5") as file:
        names = file["path"].asstr()[()][rows]
        classes = file["classes"].asstr()[()]
    videos = [results / "demo/labelled" / name for name in names]
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    whole = videos[0].read_bytes()
    third = len(whole) // 3  # its header is sound, its middle is not
    (tmp_path / "torn.mp4").write_bytes(whole[:third] + bytes(third) + whole[2 * third :])
    convnet = ("--flow-convnet", results / "flow_convnet/tiny/split1/flow1.h5")
    run_script(
        "classify_videos",
        "--videos", *videos[::-1], tmp_path / "broken.mp4", tmp_path / "torn.mp4",
        "--classifier", results / CLASSIFIER.format(stream), "--output", tmp_path / "classes.csv",
        "--cache", tmp_path, *(convnet if stream == "flow1" else ()),
    )  # fmt: skip
    table = pd.read_csv(tmp_path / "classes.csv")
    found = table.iloc[:-2, 3:].to_numpy()[::-1]
    # Percepts are rounded to 16 bits, after sums over other batches.
    assert abs(found - scores).max() < 2e-3
    assert list(table.columns[3:]) == [f"p({name})" for name in classes]
    best = table.iloc[:-2, 3:].idxmax(axis=1).str.slice(2, -1)
    assert best.equals(table["class"].iloc[:-2])
    told = table["class"].iloc[-2:].tolist()
    assert told[0].startswith("not classified: not a video")
    assert re.match("not classified: (damaged|cut short): ", told[1])
    assert table["score"].iloc[-2:].isna().all()


def test_a_classifier_refuses_other_weights_than_its_percepts_were_made_with(
    finished, run_script, tmp_path
):
    results, video = finished / "results", next((finished / "results/demo").rglob("*.mp4"))
    (tmp_path / "other.pth").write_bytes(b"weights")
    output = ("--output", tmp_path / "classes.csv")
    pretrained = results / "pretrain/tiny_split1/rgb/composite.h5"
    convnet = results / "flow_convnet/tiny/split1/flow1.h5"
    for stream, options, told in (
        ("rgb", ("--weights", tmp_path / "other.pth"), "expected the weights that"),
        ("flow1", (), "--flow-convnet: expected a file, found none"),
        ("flow1", ("--flow-convnet", pretrained), "expected schema 'flow_convnet'"),
    ):
        classifier = ("--classifier", results / CLASSIFIER.format(stream))
        done = run_script(
            "classify_videos", "--videos", video, *classifier, *output, *options, check=False
        )
        assert done.returncode == 1
        assert told in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "classes.csv").exists()
    other = tmp_path / "other.h5"
    shutil.copy(convnet, other)
    with h5py.File(other, "a") as file:
        file.attrs["identity"] = "0"
    done = run_script(
        "classify_videos", "--videos", video, "--classifier",
        results / CLASSIFIER.format("flow1"), "--flow-convnet", other, *output, check=False,
    )  # fmt: skip
    assert "expected the convnet that" in done.stderr


def test_the_frames_of_a_new_video_are_predicted(finished, run_script, tmp_path):
    results = finished / "results"
    model = results / "pretrain/patches/pixels/composite.h5"
    video = next((results / "demo/unlabelled").glob("*.mp4"))
    run_script(
        *("predict_frames", "--video", video, "--pretrained", model),
        *("--output", tmp_path / "film.mp4"),
    )
    # Frames of 120 x 160 hold 7 x 10 tiles of 16 pixels; they are enlarged less than twice: once.
    film = read_frames(tmp_path / "film.mp4")
    info = load_pretrained(model)[1]
    rows, columns = info.pixels.grid
    height, width = 16 * rows, 16 * columns
    scale = max(1, 192 // height)
    assert film.shape[1:3] == (scale * height + 6, scale * (2 * width + 2))
    truth = read_tiled(whole_video(video, info.pixels.rate, tmp_path), info.pixels)
    assert len(film) == len(truth) // 8 * 8
    left = film[:, : scale * height : scale, : scale * width : scale].astype(float).mean(3)
    assert abs(left - truth[: len(film)]).mean() < 4
    # The line below: grey for 4 frames that are seen, orange for 4 that are predicted.
    red, _, blue = np.moveaxis(film[:, -3, 20].astype(int), 1, 0)
    assert ((red - blue > 100) == (np.arange(len(film)) % 8 >= 4)).all()
    # The right side is what the model makes of each tile.
    net, _ = load_pretrained(model)
    tile = torch.from_numpy(truth[:8, 16:32, 32:48])[None]
    made = net(normalised(tile, info.pixels.mean, info.pixels.std)[:4]).future
    expected = as_pixels(made.detach(), info.pixels.mean, info.pixels.std, (16, 16))[0]
    right = film[4:8, :, scale * (width + 2) :][:, ::scale, ::scale]
    found = right[:, 16:32, 32:48].astype(float).mean(3)
    assert abs(found - expected).mean() < 4


def test_a_film_needs_a_model_of_pixels_enough_frames_and_a_known_suffix(
    finished, run_script, tmp_path
):
    results = finished / "results"
    video = next((results / "demo/labelled").rglob("*.mp4"))
    long = next((results / "demo/unlabelled").glob("*.mp4"))
    digits = results / "pretrain/mnist/pixels/composite.h5"
    for film, model, name, told in (
        (video, results / "pretrain/tiny_split1/rgb/composite.h5", "a.gif", "a model of pixels"),
        (long, digits, "a.txt", "expected a film's name to end in .gif, .mp4"),
        (tmp_path / "none.mp4", digits, "a.gif", "expected a video, found: cannot be opened"),
    ):
        done = run_script(
            *("predict_frames", "--video", film, "--pretrained", model),
            *("--output", tmp_path / name), check=False,
        )  # fmt: skip
        assert done.returncode == 1, done.stderr
        assert told in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "artifact", ["pretrain/mnist/pixels/composite.h5", "flow_convnet/tiny/split1/flow1.h5",
                 CLASSIFIER.format("rgb")],
)  # fmt: skip
def test_exported_weights_are_those_of_the_artifact(finished, run_script, tmp_path, artifact):
    path, output = finished / "results" / artifact, tmp_path / "weights.safetensors"
    run_script("export_weights", "--artifact", path, "--output", output)
    with h5py.File(path) as file, safe_open(output, "numpy") as exported:
        assert set(exported.keys()) == set(file["weights"])
        for name, values in file["weights"].items():
            assert np.array_equal(exported.get_tensor(name), values[()])
        assert exported.metadata()["identity"] == file.attrs["identity"]


def test_scores_alone_have_no_weights_to_export(finished, run_script, tmp_path):
    fused = next((finished / "results/fuse").rglob("*.h5"))
    options = ("--artifact", fused, "--output", tmp_path / "weights.safetensors")
    done = run_script("export_weights", *options, check=False)
    assert done.returncode == 1 and "found scores only" in done.stderr


# The report -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report(finished, tmp_path_factory):
    """A report of some tables, a film and the run, as the browser gets it."""
    folder = copy(finished, tmp_path_factory.mktemp("report") / "project")
    wanted = [f"results/report/{page}.html" for page in ("table1", "table2", "run")]
    wanted.append("results/figures/preview_patches.gif")
    snakemake(folder, *wanted)
    snakemake(folder, *wanted, "--report", "results/report.html")
    return folder / "results/report.html"


def embedded(report):
    """The files in a report, by name."""
    found = re.findall(
        r'"(results/[^"]+)": \{"name": .*?"data_uri": "data:[^,]*;base64,([^"]+)"',
        report.read_text(),
    )
    return {Path(name).name: base64.b64decode(data) for name, data in found}


def test_the_report_holds_its_tables_films_and_the_run_offline(report):
    text, files = report.read_text(), embedded(report)
    pictures = {"preview_patches.gif", "samples_patches.png"}  # one rule draws both
    assert set(files) == {"table1.html", "table2.html", "run.html"} | pictures
    assert files["preview_patches.gif"].startswith(b"GIF8")
    table = pd.read_csv(report.parent / "table2.csv").set_index("variant")
    page = files["table2.html"].decode()
    best = table["tiny_rgb_all_mean"].max()
    assert re.search(rf'class="best">{best:.1f} ± ', page)
    least = table["mnist_cross_entropy"].min()
    assert f'class="best">{least:.1f}<' in page
    run = files["run.html"].decode()
    assert "No file was left out." in run and "optimizer: sgd" in run
    for rule, jobs in (("extract flow", 3), ("finetune", 16)):
        assert f'<td class="text">{rule}</td><td class="">{jobs}</td>' in run
    assert "A computer watches videos" in text and "Each row is a model." in text
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="https?://', text)


def test_a_browser_shows_the_report_without_an_error(report, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here")
    pages = {"report.html": report}
    for name, data in embedded(report).items():
        if name.endswith(".html"):
            pages[name] = tmp_path / name
            pages[name].write_bytes(data)
    for name, path in pages.items():
        done = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
             "--virtual-time-budget=5000", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
             f"file://{path}"],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert not re.search(r"Uncaught|CONSOLE.*[Ee]rror", done.stderr), (name, done.stderr)
        shown = "1. Tables" if name == "report.html" else "<td"
        assert shown in done.stdout, name
