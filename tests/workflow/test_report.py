"""The report: one file, offline, with all that it should show."""

import base64
import re
from pathlib import Path

import pandas as pd
import pytest
from browser import opened
from projects import copy, snakemake


@pytest.fixture(scope="module")
def report(finished, tmp_path_factory):
    """A report of some tables, a film and the run, as the browser gets it."""
    folder = copy(finished, tmp_path_factory.mktemp("report") / "project")
    wanted = [f"results/report/{page}.html" for page in ("summary", "table1", "table2", "run")]
    wanted.append("results/figures/preview_patches.gif")
    snakemake(folder, *wanted)
    snakemake(folder, *wanted, "--report", "results/report.html")
    return folder / "results/report.html"


def embedded(report):
    """The files in a report, by name."""
    matches = re.findall(
        r'"(results/[^"]+)": \{"name": .*?"data_uri": "data:[^,]*;base64,([^"]+)"',
        report.read_text(),
    )
    return {Path(name).name: base64.b64decode(data) for name, data in matches}


def test_the_report_holds_its_tables_films_and_the_run_offline(report):
    text, files = report.read_text(), embedded(report)
    # One rule draws the first two; the front page has the others.
    pictures = {"preview_patches.gif", "samples_patches.png", "preview_mnist.gif",
                "samples_mnist.png", "accuracy.png"}  # fmt: skip
    assert set(files) == {"summary.html", "table1.html", "table2.html", "run.html"} | pictures
    assert files["preview_patches.gif"].startswith(b"GIF8")
    table = pd.read_csv(report.parent / "table2.csv").set_index("variant")
    page = files["table2.html"].decode()
    best = table["tiny_rgb_all_mean"].max()
    assert re.search(rf'class="best">{best:.1f} ± ', page)
    least = table["mnist_cross_entropy"].min()
    assert f'class="best">{least:.1f}<' in page
    run = files["run.html"].decode()
    assert "0 test videos of the labelled sets were left out of the unlabelled ones" in run
    assert "No file was left out." in run and "optimizer: sgd" in run
    for rule, jobs in (("extract flow", 3), ("finetune classifier", 16)):
        assert f'<td class="text">{rule}</td><td class="">{jobs}</td>' in run
    assert "one run of the pipeline that reproduces" in text and "Each row is a model." in text
    # The front page has the results and the graph of the rules.
    front_page = text[text.index("workflow_desc = ") :]
    assert "Table 2: prediction errors" in front_page and "make_table2</text>" in front_page
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="https?://', text)


def test_a_browser_shows_the_report_without_an_error(report, tmp_path):
    pages = {"report.html": report}
    for name, data in embedded(report).items():
        if name.endswith(".html"):
            pages[name] = tmp_path / name
            pages[name].write_bytes(data)
    for name, path in pages.items():
        text = "1. Tables" if name == "report.html" else "<td"
        assert text in opened(path, tmp_path / "profile"), name
