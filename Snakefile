"""Unsupervised Learning of Video Representations using LSTMs, from video files to tables.

snakemake --cores N results/table2.csv
"""

import os

from snakemake.utils import min_version

min_version("9.0")

demo = workflow.current_basedir.join("config.yaml")

# A configuration given with --configfile replaces the demo's; the two are not merged.
if not workflow.overwrite_configfiles:

    configfile: os.path.relpath(demo.get_path_or_uri(secret_free=True))


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/inputs.smk"
include: "rules/encoder_inputs.smk"
include: "rules/classifier_inputs.smk"
include: "rules/representation_inputs.smk"
include: "rules/checks.smk"
include: "rules/videos.smk"
include: "rules/flow.smk"
include: "rules/percepts.smk" if settings.percepts.features is None else "rules/features.smk"
include: "rules/pixels.smk"
include: "rules/pretraining.smk"
include: "rules/recognition.smk"
include: "rules/representations.smk"
include: "rules/comparisons.smk"
include: "rules/hours.smk"
include: "rules/figures.smk"
include: "rules/report.smk"
include: "rules/targets.smk"


localrules:
    tables,


# Not in rules/targets.smk, since Snakemake ignores the default target of an included file.
rule tables:
    """All tables; the default target."""
    default_target: True
    input:
        expand(
            "results/{table}.csv",
            table=["table1", "table2", "table3", "table4", "accuracy"],
        ),
