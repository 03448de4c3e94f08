"""Render the demo's videos: a labelled set of actions and unlabelled videos.

Writes OUTPUT/labelled/CLASS/CLASS_gXX_cYY.mp4 (gXX: the performer) and
OUTPUT/unlabelled/pile_XXX.mp4, some of them .avi and .mkv. The figures are synthetic, and all
videos depend on the seed only. OUTPUT appears when all videos are complete.
"""

import shutil
from pathlib import Path

import cv2

from video_lstm.artifacts import temporary_path, translate_write_errors
from video_lstm.command_line import CommandLine, run
from video_lstm.demo.actions import ACTIONS
from video_lstm.demo.videos import render_labelled, render_unlabelled
from video_lstm.errors import UserError
from video_lstm.progress import Progress
from video_lstm.settings.videos import DemoSettings


class Arguments(CommandLine):
    """Options of the script."""

    output: Path
    """Folder to write; it must not exist or be empty."""
    seed: int = 0
    """Random seed for all videos."""
    demo: DemoSettings = DemoSettings()
    """Numbers and lengths of the videos."""


def main(arguments: Arguments) -> None:
    """Render both sets into a temporary folder, then rename it to the output."""
    cv2.setNumThreads(1)  # several videos are rendered in parallel instead
    output, demo = arguments.output, arguments.demo
    if output.is_dir() and any(output.iterdir()):
        raise UserError(
            f"{output}: expected a new or empty folder, found files in it; remove it first"
        )
    actions = list(ACTIONS) if demo.actions is None else demo.actions
    progress = Progress(len(actions) * demo.videos_per_class + demo.unlabelled_videos, "videos")
    with translate_write_errors(output):
        temporary = temporary_path(output)
        try:
            render_labelled(
                temporary / "labelled",
                actions=actions,
                videos_per_class=demo.videos_per_class,
                seconds=demo.labelled_seconds,
                seed=arguments.seed,
                workers=arguments.threads,
                progress=progress.update,
            )
            render_unlabelled(
                temporary / "unlabelled",
                videos=demo.unlabelled_videos,
                seconds=demo.unlabelled_seconds,
                seed=arguments.seed,
                workers=arguments.threads,
                progress=progress.update,
            )
            # A job that outlived a killed run may have written the folder meanwhile.
            shutil.rmtree(output, ignore_errors=True)
            temporary.replace(output)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    run(main, Arguments)
