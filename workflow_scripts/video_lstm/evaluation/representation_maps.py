"""A self-contained HTML page with maps of test videos, by percepts and by an encoder.

Bokeh, which is embedded in the page, draws the maps. A click on a video shows its filmstrip and
those of its nearest training videos, below the maps.
"""

import base64
import html
import json
import re
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from bokeh.embed import components
from bokeh.models import ColumnDataSource, CustomJS, HoverTool, TapTool
from bokeh.plotting import figure
from bokeh.resources import Resources
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from video_lstm.evaluation.galleries import Gallery

_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#444444")
"""Okabe and Ito's colours without yellow, which colour-blind people can distinguish."""
_MARKERS = {"circle": "●", "square": "■", "triangle": "▲", "diamond": "◆", "star": "★",
            "inverted_triangle": "▼", "plus": "✚", "hex": "⬢"}  # fmt: skip
_PERPLEXITY, _JPEG_QUALITY = 20, 70

_STYLE = """
body { font: 15px/1.5 "DejaVu Sans", Arial, sans-serif; margin: 1.5em auto; max-width: 1200px;
  padding: 0 1em; color: #222; }
.maps, .near { display: grid; gap: 1em;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 380px), 1fr)); }
.legend span { display: inline-block; margin-right: 1.2em; white-space: nowrap; }
figure { margin: 0 0 .6em; } figcaption { overflow-wrap: anywhere; }
figure img { display: block; max-width: 100%; box-sizing: border-box; border: 3px solid #222; }
h3 { margin: .6em 0; } .right { color: #1b6ca8; } .wrong { color: #b5541c; }
.right img { border-color: #1b6ca8; } .wrong img { border-color: #b5541c; }
"""
_SCRIPT = """
function showVideo(dataset, index) {
  const gallery = GALLERIES[dataset];
  const panel = document.getElementById("panel_" + dataset);
  const make = (kind, parent, text) => {
    const element = parent.appendChild(document.createElement(kind));
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const strip = (parent, video, sign, kind) => {
    const box = make("figure", parent);
    box.className = kind;
    make("figcaption", box, sign + gallery.classes[video] + " \\u00b7 " + gallery.names[video]);
    const picture = make("img", box);
    picture.src = "data:image/jpeg;base64," + gallery.strips[video];
    picture.alt = "filmstrip of " + gallery.names[video];
  };
  panel.replaceChildren();
  make("h3", panel, "The video");
  strip(panel, index, "", "asked");
  const near = make("div", panel);
  near.className = "near";
  for (const [side, rows] of Object.entries(gallery.neighbours)) {
    const column = make("div", near);
    make("h3", column, "Nearest training videos by " + side);
    for (const video of rows[index]) {
      const right = gallery.classes[video] === gallery.classes[index];
      strip(column, video, right ? "\\u2713 " : "\\u2717 ", right ? "right" : "wrong");
    }
  }
}
for (const dataset in GALLERIES) showVideo(dataset, 0);
"""
_ON_SELECT = """
const [first, ...others] = source.selected.indices;
if (first === undefined) return;
if (others.length) source.selected.indices = [first];
else showVideo(dataset, first);
"""


def embed_in_plane(features: np.ndarray, seed: int) -> np.ndarray:
    """Embed videos in a plane by t-SNE of their normalised features.

    Args:
        features: (n, size) float, standardised.
        seed: Random seed of the run.

    Returns:
        (n, 2) float32; fewer than four videos are placed in a row.
    """
    count = len(features)
    if count < 4:
        return np.stack([np.arange(count), np.zeros(count)], 1).astype(np.float32)
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    perplexity = min(_PERPLEXITY, (count - 1) / 3)
    with threadpool_limits(1):  # the order of sums depends on the number of threads
        return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(unit)


def render_map_page(galleries: Sequence[tuple[Gallery, np.ndarray]], seed: int) -> str:
    """Render the page as HTML; the same videos give the same bytes.

    Args:
        galleries: Gallery of each data set, with the filmstrips of its videos, (videos, height,
            width, 3) uint8.
        seed: Random seed of the maps.
    """
    maps: dict[Any, Any] = {}
    data: dict[str, Any] = {}
    sections: list[str] = []
    for gallery, strips in galleries:
        name = gallery.dataset
        data[name] = {
            "classes": gallery.class_names,
            "names": [clip.video for clip in gallery.clips],
            "neighbours": {
                _format_name(k): rows.tolist() for k, rows in gallery.neighbours.items()
            },
            "strips": [_encode_jpeg(strip) for strip in strips],
        }
        maps |= {
            (name, representation): plot
            for representation, plot in _plot_maps(gallery, seed).items()
        }
    keys = [f"{dataset} {representation}" for dataset, representation in maps]
    script, map_divs = components(dict(zip(keys, maps.values(), strict=True)))
    for gallery, _ in galleries:
        divs = [
            map_divs[f"{gallery.dataset} {representation}"] for representation in gallery.features
        ]
        sections.append(_render_section(gallery, divs))
    # Escape "<", so that a file name cannot end the script.
    text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    title = "Maps of the test videos"
    library = Resources(mode="inline", components=["bokeh"]).render()  # no widgets, no tables
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}</style>\n{library}</head>\n<body><h1>{title}</h1>\n"
        f"<p>{_EXPLANATION}</p>\n{''.join(sections)}\n"
        f"<script>const GALLERIES = {text};\n{_SCRIPT}</script>\n{script}\n</body></html>\n"
    )
    return _number_ids(page)


_EXPLANATION = """\
Each marker is a test video, which no model was trained on; its colour and shape are
its class. Videos with similar representations lie near each other: on one map by the mean of their
percepts, without any model of time, on the other by the representation of an LSTM trained on
unlabelled video. Where the videos of a class lie together, a few labelled ones are enough to
recognise it. Directions, and distances between far groups, mean nothing. <b>Click a video</b> on
either map: it is marked on both, and below are its frames and the training videos that are nearest
to it, ✓ where they show the same class, ✗ where they do not."""


def _plot_maps(gallery: Gallery, seed: int) -> dict[str, figure]:
    """Draw the maps of one data set, which share their selection."""
    styles = [_select_style(gallery.classes.index(name)) for name in gallery.metadata["class"]]
    columns = gallery.metadata | dict(
        zip(("colour", "marker"), zip(*styles, strict=True), strict=True)
    )
    positions = {
        representation: embed_in_plane(x, seed) for representation, x in gallery.features.items()
    }
    for representation, xy in positions.items():
        columns |= {f"x_{representation}": xy[:, 0], f"y_{representation}": xy[:, 1]}
    source = ColumnDataSource(columns, name=f"videos_{gallery.dataset}")
    source.selected.indices = [0]
    on_select = CustomJS(args={"source": source, "dataset": gallery.dataset}, code=_ON_SELECT)
    source.selected.js_on_change("indices", on_select)
    plots = {}
    for representation in positions:
        plot = figure(
            title=f"by {_format_name(representation)}", height=430, sizing_mode="stretch_width",
            tools=["pan", "wheel_zoom", "box_zoom", "reset", TapTool(),
                   HoverTool(tooltips=[("class", "@class"), ("video", "@video")])],
            name=f"map_{gallery.dataset}_{representation}",
        )  # fmt: skip
        glyphs = plot.scatter(
            f"x_{representation}", f"y_{representation}", source=source, size=11, marker="marker",
            fill_color="colour", line_color="white", line_width=0.5,
            nonselection_fill_alpha=0.75, nonselection_line_alpha=0.75,
        )  # fmt: skip
        glyphs.selection_glyph = glyphs.glyph.clone(size=18, line_color="black", line_width=2.5)
        plot.axis.visible = plot.grid.visible = False
        plot.toolbar.logo = None
        plot.outline_line_color = "#999999"
        plots[representation] = plot
    return plots


def _render_section(gallery: Gallery, divs: Sequence[str]) -> str:
    """Render a data set's legend, its maps, and an empty panel for filmstrips."""
    amount = (
        "All"
        if gallery.num_queries == gallery.num_test_videos
        else f"{gallery.num_queries}, drawn at random, of"
    )
    legend = ""
    for number, name in enumerate(gallery.classes):
        colour, marker = _select_style(number)
        symbol = f'<b style="color: {colour}">{_MARKERS[marker]}</b>'
        legend += f"<span>{symbol} {html.escape(_format_name(name))}</span> "
    description = (
        f"{amount} {gallery.num_test_videos} test videos; split {gallery.split}, "
        f"stream {gallery.stream}."
    )
    if len(gallery.classes) > len(_COLOURS) * len(_MARKERS):
        description += " Some classes share a sign: rest the pointer on one to read its class."
    return (
        f"<h2>{html.escape(gallery.dataset)}</h2>\n<p>{description}</p>\n"
        f'<p class="legend">{legend}</p>\n'
        f'<div class="maps">{"".join(f"<div>{div}</div>" for div in divs)}</div>\n'
        f'<div id="panel_{gallery.dataset}" aria-live="polite"></div>\n'
    )


def _select_style(number: int) -> tuple[str, str]:
    """Return the colour and the marker of a class; they repeat after 56 classes."""
    markers = list(_MARKERS)
    return _COLOURS[number % len(_COLOURS)], markers[number // len(_COLOURS) % len(markers)]


def _format_name(name: str) -> str:
    """Replace underscores by spaces."""
    return name.replace("_", " ")


def _encode_jpeg(strip: np.ndarray) -> str:
    """Encode an RGB image as JPEG, in base64."""
    bgr = np.ascontiguousarray(strip[..., ::-1])
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return base64.b64encode(data.tobytes()).decode()


def _number_ids(page: str) -> str:
    """Replace Bokeh's random identifiers by numbers in order of appearance."""
    numbers: dict[str, str] = {}
    return re.sub(
        r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        lambda match: numbers.setdefault(match[0], f"id-{len(numbers)}"),
        page,
    )
