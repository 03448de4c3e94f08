"""Describe the videos, run times and settings of a run on an HTML page for the report.

The page lists, for each data set, the number of videos, classes and hours, and which files were
left out for which reason; for each rule, the number of jobs, time and memory from Snakemake's
benchmark files; the test videos left out of the unlabelled videos; and all settings.
"""

import html
from collections import Counter
from pathlib import Path

import pandas as pd
import yaml

from video_lstm.artifacts import atomic_write
from video_lstm.command_line import CommandLine, run
from video_lstm.evaluation.html_tables import render_page, render_table_html
from video_lstm.progress import format_duration
from video_lstm.settings.pipeline import Settings
from video_lstm.settings.videos import UNLABELLED
from video_lstm.video.clips import read_clips, read_left_out
from video_lstm.video.files import OK
from video_lstm.video.index import read_videos


class Arguments(CommandLine):
    """Options of the script."""

    videos: list[Path]
    """Indices of the data sets."""
    clips: list[Path]
    """Clips of the data sets; each shard is in the folder of its data set."""
    benchmarks: Path
    """Folder of Snakemake's benchmark files, results/benchmarks."""
    settings: Settings
    """The whole configuration."""
    output: Path
    """HTML file to write."""


def main(arguments: Arguments) -> None:
    """Read the artifacts, render the page and write it."""
    sets = [
        describe_data_set(
            path, [clips for clips in arguments.clips if clips.parent.name == path.stem]
        )
        for path in arguments.videos
    ]
    text = render_page(
        "The run",
        "<h2>Videos</h2>",
        render_table_html(pd.DataFrame(sets)),
        list_left_out_files(arguments.videos),
        list_notes(arguments.videos),
        describe_left_out_test_videos(arguments.clips),
        "<h2>Time</h2>",
        render_table_html(tabulate_times(arguments.benchmarks)),
        "<h2>Settings</h2>",
        f"<pre>{html.escape(format_settings(arguments.settings))}</pre>",
    )
    with atomic_write(arguments.output) as temporary:
        temporary.write_text(text)


def describe_data_set(videos: Path, clips: list[Path]) -> dict[str, object]:
    """Return the number of files, classes, hours and clips of a data set."""
    table, dataset_clips = read_videos(videos), read_clips(clips)
    usable = [video for video in table.videos if video.status == OK]
    return {
        "data set": videos.stem,
        "files": len(table.videos),
        "used": len(usable),
        "left out": len(table.videos) - len(usable),
        "classes": len(table.classes),
        "length": format_duration(sum(video.duration for video in usable)),
        "clips": len(dataset_clips),
        "frames of clips": sum(clip.frames for clip in dataset_clips),
    }


def list_left_out_files(videos: list[Path]) -> str:
    """Tabulate the files that were left out or have a warning, by reason, with an example."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for path in videos:
        for video in read_videos(path).videos:
            reason = f"used, but {video.note}" if video.note else video.status
            if reason != OK:
                reasons.setdefault((path.stem, reason), []).append(video.path)
    if not reasons:
        return "<p>No file was left out.</p>"
    lines = [
        {"data set": name, "reason": reason, "files": len(paths), "such as": paths[0]}
        for (name, reason), paths in reasons.items()
    ]
    return render_table_html(pd.DataFrame(lines))


def list_notes(videos: list[Path]) -> str:
    """Render the warnings of the indices, such as copies in training and test."""
    lines = [f"{path.stem}: {note}" for path in videos for note in read_videos(path).notes]
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines)


def describe_left_out_test_videos(clips: list[Path]) -> str:
    """Render the number of test videos that were left out of the unlabelled videos."""
    paths = next((read_left_out(path) for path in clips if path.parent.name == UNLABELLED), [])
    sentence = (
        f"<p>{len(paths)} test videos of the labelled sets were left out of the unlabelled ones"
    )
    return sentence + (f", such as {html.escape(paths[0])}.</p>" if paths else ".</p>")


def tabulate_times(folder: Path) -> pd.DataFrame:
    """Tabulate jobs, time and memory of each rule, the longest first."""
    jobs: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    memory: Counter[str] = Counter()
    for path in sorted(folder.rglob("*.tsv")):
        rule = path.relative_to(folder).parts[0].removesuffix(".tsv")
        benchmark = pd.read_csv(path, sep="\t", na_values="-")
        jobs[rule] += 1
        seconds[rule] += float(benchmark["s"].sum())
        memory[rule] = max(memory[rule], float(benchmark["max_rss"].max()))
    lines = [
        {"rule": rule, "jobs": jobs[rule], "time in all": format_duration(count),
         "time of a job": format_duration(count / jobs[rule]), "most memory (MB)": memory[rule]}
        for rule, count in seconds.most_common()
    ]  # fmt: skip
    return pd.DataFrame(lines)


def format_settings(settings: Settings) -> str:
    """Format all settings as YAML."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, width=96)


if __name__ == "__main__":
    run(main, Arguments)
