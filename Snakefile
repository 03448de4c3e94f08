"""Unsupervised Learning of Video Representations using LSTMs, from video files to tables.

snakemake --cores N results/table2.csv
"""

import os

from snakemake.utils import min_version

min_version("9.0")

# A configuration given with --configfile takes the demo's place; it is not laid over it.
if not workflow.overwrite_configfiles:

    configfile: os.path.relpath(os.path.join(workflow.basedir, "config.yaml"))


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/inputs.smk"
include: "rules/videos.smk"
include: "rules/flow.smk"
include: "rules/percepts.smk"
include: "rules/pixels.smk"
include: "rules/pretraining.smk"
include: "rules/recognition.smk"
include: "rules/comparisons.smk"
include: "rules/figures.smk"
include: "rules/report.smk"
include: "rules/targets.smk"
