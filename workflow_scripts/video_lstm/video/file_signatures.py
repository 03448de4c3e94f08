"""Recognise files that are not videos by their first bytes."""

import re
from pathlib import Path

ANIMATED_WEBP = "an animated WebP, which only the ffmpeg program from version 9 on reads"
PHOTOGRAPH = "a photograph, no video"
_FRAMES_ADVICE = "extracted frames become one by: ffmpeg -i frame_%04d.{} video.mp4"
JPEG = f"a JPEG picture, no video ({_FRAMES_ADVICE.format('jpg')})"

_DOWNLOAD_ADVICE = "a download that failed: download it again"
_BYTE_ORDER_MARK = rb"(\xef\xbb\xbf)?\s*"

# Patterns of the first bytes of a file, and descriptions; the first match counts.
_KINDS = {
    rb"version https://git-lfs": "a Git LFS pointer, no video (get the file by: git lfs pull)",
    rb"/annex/objects/": "a git-annex pointer, no video (get the file by: git annex get)",
    _BYTE_ORDER_MARK + rb"(<[^\0]{0,1000})?<(!doctype html|html|head|body)\b": (
        f"an HTML page, no video ({_DOWNLOAD_ADVICE})"
    ),
    _BYTE_ORDER_MARK + rb"<(\?xml|error)\b": f"an XML text, no video ({_DOWNLOAD_ADVICE})",
    _BYTE_ORDER_MARK + rb"(\{\s*[\"}]|\[\s*[\"{\]])": f"a JSON text, no video ({_DOWNLOAD_ADVICE})",
    rb"....ftyp(mif[12]|avif|hei[cxms])": PHOTOGRAPH,
    rb"RIFF....WEBPVP8X....[%s]"
    % b"".join(re.escape(bytes([flags])) for flags in range(256) if flags & 2): ANIMATED_WEBP,
    rb"RIFF....WEBP": "a WebP picture, no video",
    rb"\xff\xd8\xff": JPEG,
    rb"\x89PNG\r\n": f"a PNG picture, no video ({_FRAMES_ADVICE.format('png')})",
    rb"\xff\x0a|\0\0\0\x0cJXL ": "a JPEG XL picture, no video",
    rb"BM.{4}\0\0\0\0": "a BMP picture, no video",
    rb"II\*\0|MM\0\*": "a TIFF picture, no video",
    rb"PK\x03\x04|Rar!|\x1f\x8b|7z\xbc\xaf|BZh|\xfd7zXZ": "a packed archive, no video (unpack it)",
}
_PATTERNS = {
    re.compile(pattern, re.DOTALL | re.IGNORECASE): kind for pattern, kind in _KINDS.items()
}


def describe_file(path: Path) -> str | None:
    """Describe a file that FFmpeg cannot read as a video; None if its type is unknown."""
    with path.open("rb") as file:
        head = file.read(2048)
    return next((kind for pattern, kind in _PATTERNS.items() if pattern.match(head)), None)


def is_jpeg_picture(path: Path) -> bool:
    """Return whether a JPEG file is a picture by its name or header, not Motion JPEG.

    Photographs may contain smaller ones after the first (Multi-Picture Format).
    """
    if path.suffix.lower() in {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"}:
        return True
    with path.open("rb") as file:
        return b"MPF\0" in file.read(1 << 16)
