"""Render the demo's videos: a labelled set of actions and an unlabelled pile.

Makes OUTPUT/labelled/CLASS/CLASS_gXX_cYY.mp4 (gXX: who performs) and
OUTPUT/unlabelled/pile_XXX.mp4, some of them .avi and .mkv. The figures are drawn, not filmed;
everything follows from the seed. OUTPUT appears when all videos are there.
"""

import shutil
from pathlib import Path

import cv2

from command_line import CommandLine, run
from video_lstm.artifacts import temporary_path, translate_write_errors
from video_lstm.demo.actions import ACTIONS
from video_lstm.demo.videos import render_labelled, render_pile
from video_lstm.errors import UserError
from video_lstm.progress import Progress
from video_lstm.settings.videos import DemoSettings


class Arguments(CommandLine):
    """Arguments of render_demo."""

    output: Path
    """Folder to make; it must not hold anything yet."""
    seed: int = 0
    """Everything follows from it."""
    demo: DemoSettings = DemoSettings()
    """How many videos of what length."""


def main(arguments: Arguments) -> None:
    """Render both sets beside the output, then give the folder its name."""
    cv2.setNumThreads(1)  # several videos at once instead
    output, demo = arguments.output, arguments.demo
    if output.is_dir() and any(output.iterdir()):
        raise UserError(
            f"{output}: expected no such folder yet, found files in it; remove it first"
        )
    actions = list(ACTIONS) if demo.actions is None else demo.actions
    progress = Progress(len(actions) * demo.videos_per_class + demo.unlabelled_videos, "videos")
    with translate_write_errors(output):
        part = temporary_path(output)
        try:
            render_labelled(
                part / "labelled",
                actions=actions,
                videos_per_class=demo.videos_per_class,
                seconds=demo.labelled_seconds,
                seed=arguments.seed,
                workers=arguments.threads,
                progress=progress.update,
            )
            render_pile(
                part / "unlabelled",
                videos=demo.unlabelled_videos,
                seconds=demo.unlabelled_seconds,
                seed=arguments.seed,
                workers=arguments.threads,
                progress=progress.update,
            )
            # The orphan of a killed run may have been faster.
            shutil.rmtree(output, ignore_errors=True)
            part.replace(output)
        finally:
            shutil.rmtree(part, ignore_errors=True)


if __name__ == "__main__":
    run(main, Arguments)
