"""Pages of the report: tables and the run. Rules of figures mark theirs for the report."""

TITLES = {
    "table1": "Table 1: the gain by pretraining, on RGB and on flow",
    "table2": "Table 2: the variants compared",
    "table3": "Table 3: few and all labels",
    "table4": "Table 4: fused streams, compared with other methods",
    "representations": "Frozen representations, compared with trivial baselines",
    "accuracy": "Accuracy with its interval and the gain over lstm_baseline",
}


rule render_table:
    """Render a table as a page, with the best value of each column in bold."""
    input:
        "results/{table}.csv",
    output:
        report(
            "results/report/{table}.html",
            caption="../report/table.rst",
            category="1. Tables",
            labels={"table": "{table}"},
        ),
    log:
        "results/logs/render_table/{table}.log",
    benchmark:
        "results/benchmarks/render_table/{table}.tsv"
    wildcard_constraints:
        table="|".join(TITLES),
    conda:
        ENVIRONMENT
    resources:
        **SMALL_JOB,
    params:
        scripts=scripts_folder,
        code=hash_code("render_table"),
        settings=lambda wildcards: settings_options(title=TITLES[wildcards.table]),
    message:
        "Rendering the page of {wildcards.table}"
    shell:
        "python {params.scripts}/render_table.py"
        " {params.settings}"
        " --table {input}"
        " --output {output}"
        " --log {log}"


rule describe_run:
    """Describe the videos, run times and settings on a page."""
    input:
        videos=expand("results/videos/{dataset}.h5", dataset=DATASETS),
        clips=[file for dataset in DATASETS for file in clip_files(dataset)],
        # The page reports the tables' run times, and so comes after them.
        after=[f"results/{table}.csv" for table in TITLES],
    output:
        report(
            "results/report/run.html",
            caption="../report/run.rst",
            category="3. The run",
            labels={"page": "videos, times, settings"},
        ),
    log:
        "results/logs/describe_run.log",
    benchmark:
        "results/benchmarks/describe_run.tsv"
    conda:
        ENVIRONMENT
    resources:
        **SMALL_JOB,
    params:
        scripts=scripts_folder,
        code=hash_code("describe_run"),
        settings=lambda wildcards: settings_options(
            settings=settings,
            benchmarks=f"{RESULTS}/benchmarks",
        ),
    message:
        "Describing the run"
    shell:
        "python {params.scripts}/describe_run.py"
        " {params.settings}"
        " --videos {input.videos}"
        " --clips {input.clips}"
        " --output {output}"
        " --log {log}"


rule render_summary:
    """Render the report's front page: table 2, accuracy, predicted frames and the workflow."""
    input:
        table="results/table2.csv",
        accuracy="results/figures/accuracy.png",
        samples="results/figures/samples_mnist.png",
    output:
        report(
            "results/report/summary.html",
            caption="../report/summary.rst",
            category="1. Tables",
            labels={"table": "summary"},
        ),
    log:
        "results/logs/render_summary.log",
    benchmark:
        "results/benchmarks/render_summary.tsv"
    conda:
        ENVIRONMENT
    resources:
        **SMALL_JOB,
    params:
        scripts=scripts_folder,
        code=hash_code("render_summary"),
    message:
        "Rendering the front page of the report"
    shell:
        "python {params.scripts}/render_summary.py"
        " --table {input.table}"
        " --accuracy {input.accuracy}"
        " --samples {input.samples}"
        " --workflow {params.scripts}/../report/workflow.svg"
        " --output {output}"
        " --log {log}"
