"""Unsupervised Learning of Video Representations using LSTMs, from video files to tables.

snakemake --cores N results/table2.csv
"""


include: "rules/workflow.smk"


localrules:
    tables,


# Not in rules/targets.smk, since Snakemake ignores the default target of an included file.
rule tables:
    """All tables; the default target."""
    default_target: True
    input:
        TABLES,
