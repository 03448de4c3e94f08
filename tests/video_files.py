"""Small odd video files, made by the ffmpeg program, and frames as that program decodes them."""

import subprocess

import imageio_ffmpeg
import numpy as np

PROGRAM = imageio_ffmpeg.get_ffmpeg_exe()

X264 = "-c:v libx264 -pix_fmt yuv420p"
TAGS_709 = "-colorspace bt709 -color_primaries bt709 -color_trc bt709"
# What to make: file name -> options; by default 2 s of 160x120 at 25 frames a second.
KINDS = {
    "plain.mp4": X264,
    "b_frames.avi": f"{X264} -bf 3",
    "xvid.avi": "-c:v libxvid -bf 2",
    "mpeg.mpg": "-c:v mpeg2video -bf 2",
    "vp9.webm": "-c:v libvpx-vp9 -deadline realtime -cpu-used 8",
    "full_range.mp4": "-c:v libx264 -pix_fmt yuv420p -vf scale=out_range=pc -color_range pc",
    "bt709.mp4": f"{X264} -vf scale=out_color_matrix=bt709 {TAGS_709} -color_range tv",
    "bt709_full.mp4": f"{X264} -vf scale=out_color_matrix=bt709:out_range=pc {TAGS_709} "
    "-color_range pc",
    "motion_jpeg.avi": "-c:v mjpeg -pix_fmt yuvj422p",
    "ten_bits.mp4": "-c:v libx264 -pix_fmt yuv420p10le",
    "grey.mkv": "-c:v ffv1 -pix_fmt gray",
    "chroma_444.mp4": "-c:v libx264 -pix_fmt yuv444p",
    "rgb.avi": "-c:v rawvideo -pix_fmt bgr24",
    "rgb24.mov": "-c:v png -pix_fmt rgb24",
    "alpha.mov": "-c:v png -pix_fmt rgba",
    "interlaced.mp4": f"{X264} -flags +ildct+ilme",
    "odd_size.mkv": "-vf scale=161:121 -c:v ffv1 -pix_fmt yuv420p",
    "odd_size_444.mkv": "-vf scale=161:121 -c:v ffv1 -pix_fmt yuv444p",
    "ntsc.mkv": f"{X264} -r 30000/1001",
    "variable.mp4": f"{X264} -vf select='lt(mod(n\\,7)\\,3)' -fps_mode vfr",
    "variable.mkv": f"{X264} -vf select='lt(mod(n\\,7)\\,3)' -fps_mode vfr",
    "one_frame.mp4": f"{X264} -frames:v 1",
}
# Turned copies: file name -> the file they are of, and the display matrix.
TURNED = {
    "turned_90.mp4": ("plain.mp4", "-display_rotation 90"),
    "turned_180.mp4": ("plain.mp4", "-display_rotation 180"),
    "turned_270.mp4": ("plain.mp4", "-display_rotation 270"),
    "mirrored.mp4": ("plain.mp4", "-display_hflip"),
    "upside_down_rgb24.mov": ("rgb24.mov", "-display_vflip"),
    "turned_mirrored.mp4": ("plain.mp4", "-display_rotation 90 -display_hflip"),
    "turned_odd.mkv": ("odd_size.mkv", "-display_rotation 90"),
    "turned_ten_bits.mp4": ("ten_bits.mp4", "-display_rotation 270"),
}


def ffmpeg(*options):
    """Run the program; what it writes to its standard output."""
    command = [PROGRAM, "-nostdin", "-v", "error", "-y", *map(str, options)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def make(path, options=X264, seconds=2, size="160x120", rate=25):
    """Encode the moving test picture."""
    source = f"testsrc2=size={size}:rate={rate}:duration={seconds}"
    ffmpeg("-f", "lavfi", "-i", source, *options.split(), path)
    return path


def make_kind(folder, name):
    """One of `KINDS` or `TURNED`, made once."""
    path = folder / name
    if not path.exists():
        if name in KINDS:
            make(path, KINDS[name])
        else:
            origin, turn = TURNED[name]
            ffmpeg(*turn.split(), "-i", make_kind(folder, origin), "-c", "copy", path)
    return path


def program_frames(path, height, width, layout="rgb24"):
    """All frames of a file as a player shows them, by the program: uint8 (N, H, W, 3) or (N, H, W).

    The program crops and turns them by itself.
    """
    as_displayed = ("-vf", "scale=iw*sar:ih", "-fps_mode", "passthrough")
    raw = ffmpeg("-i", path, *as_displayed, "-f", "rawvideo", "-pix_fmt", layout, "-")
    shape = (-1, height, width, 3) if layout == "rgb24" else (-1, height, width)
    return np.frombuffer(raw, np.uint8).reshape(shape)
