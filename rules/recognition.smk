"""Classifiers, their scores and the tables."""

from video_lstm.settings import FinetuneSettings


rule finetune_classifier:
    """Classifiers from 1, 10 or all labelled videos per class, over several draws of them."""
    input:
        videos="results/videos/{labelled}.h5",
        clips="results/clips/{labelled}.h5",
        percepts=lambda wildcards: percept_shards(
            wildcards.labelled,
            features(wildcards.labelled, wildcards.split, wildcards.stream),
        ),
        pretrained=pretrained,
    output:
        "results/finetune/{labelled}/split{split}/{stream}/{variant}/{labels}.h5",
    log:
        "results/logs/finetune/{labelled}_split{split}_{stream}_{variant}_{labels}.log",
    benchmark:
        "results/benchmarks/finetune/{labelled}_split{split}_{stream}_{variant}_{labels}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=8000,
        runtime=720,
        gpu=GPU,
    params:
        code=code("finetune_classifier"),
        pretrained=lambda wildcards, input: (
            f"--pretrained {input.pretrained}" if input.pretrained else ""
        ),
        command=lambda wildcards: command(
            "finetune_classifier",
            device=settings.device,
            dataset=wildcards.labelled,
            split=wildcards.split,
            stream=wildcards.stream,
            variant=wildcards.variant,
            labels=wildcards.labels,
            units=settings.pretraining.percepts.units,
            layers=settings.pretraining.percepts.layers,
            finetuning=narrow(settings.finetuning, FinetuneSettings),
            seed=settings.seed,
        ),
    message:
        "Fine-tuning {wildcards.variant} on {wildcards.labels} labelled videos per class of"
        " {wildcards.labelled}, split {wildcards.split}, {wildcards.stream}"
    shell:
        "python {params.command} --videos {input.videos} --clips {input.clips}"
        " --percepts {input.percepts} {params.pretrained} --output {output}"
        " --checkpoints results/checkpoints --threads {threads} --log {log}"


rule collect_scores:
    """Every number that was measured, one per line, with all that identifies it."""
    input:
        finetuned=finetuned_files(),
        predictions=prediction_files(),
    output:
        "results/scores.csv",
    log:
        "results/logs/collect_scores.log",
    benchmark:
        "results/benchmarks/collect_scores.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("collect_scores"),
        command=command(
            "collect_scores",
        ),
    message:
        "Collecting the scores"
    shell:
        "python {params.command} --finetuned {input.finetuned}"
        " --predictions {input.predictions} --output {output} --log {log}"


rule make_table2:
    """Table 2: the variants side by side."""
    input:
        "results/scores.csv",
    output:
        "results/table2.csv",
    log:
        "results/logs/make_table2.log",
    benchmark:
        "results/benchmarks/make_table2.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("make_table2"),
        command=command(
            "make_table2",
        ),
    message:
        "Making table 2"
    shell:
        "python {params.command} --scores {input} --output {output} --log {log}"
