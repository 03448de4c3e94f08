"""The configuration, and all rules but the default target."""

import os

from snakemake.utils import min_version

min_version("9.0")

demo = workflow.current_basedir.join("../config.yaml")

# A configuration given with --configfile replaces the demo's; the two are not merged.
if not workflow.overwrite_configfiles:

    configfile: os.path.relpath(demo.get_path_or_uri(secret_free=True))


report: "../report/workflow.rst"


include: "common.smk"
include: "inputs.smk"
include: "encoder_inputs.smk"
include: "classifier_inputs.smk"
include: "representation_inputs.smk"
include: "checks.smk"
include: "videos.smk"
include: "flow.smk"
include: "percepts.smk" if settings.percepts.features is None else "features.smk"
include: "pixels.smk"
include: "pretraining.smk"
include: "recognition.smk"
include: "representations.smk"
include: "comparisons.smk"
include: "hours.smk"
include: "figures.smk"
include: "report.smk"
include: "targets.smk"
