"""How much unlabelled video pretraining needs: the series `unlabelled_hours`."""


wildcard_constraints:
    hours=r"[0-9.]+",


use rule pretrain as pretrain_on_hours with:
    output:
        "results/unlabelled_hours/{corpus}/{stream}/{hours}/{variant}.h5",
    log:
        "results/logs/pretrain_on_hours/{corpus}_{stream}_{hours}_{variant}.log",
    benchmark:
        "results/benchmarks/pretrain_on_hours/{corpus}_{stream}_{hours}_{variant}.tsv"
    params:
        scripts=scripts_folder,
        code=hash_code("pretrain"),
        launcher=lambda wildcards: python_launcher(
            pretraining_settings(wildcards)["model"].num_processes
        ),
        files=pretraining_input_options,
        settings=lambda wildcards: settings_options(
            device=settings.device,
            variant=wildcards.variant,
            seed=settings.seed,
            unlabelled_hours=wildcards.hours,
            checkpoints=CHECKPOINTS,
            **pretraining_settings(wildcards),
        ),
    message:
        "Pretraining {wildcards.variant} on {wildcards.hours} hours of unlabelled video,"
        " {wildcards.corpus}, stream {wildcards.stream}"


use rule finetune_classifier as finetune_on_hours with:
    input:
        videos="results/videos/{labelled}.h5",
        percepts=lambda wildcards: classifier_inputs(wildcards)["percepts"],
        pretrained="results/unlabelled_hours/{labelled}_split{split}/{stream}/{hours}/{variant}.h5",
        validated=lambda wildcards: validation_inputs(wildcards),
    output:
        "results/unlabelled_hours/{labelled}/split{split}/{stream}/{hours}/{variant}/{labels}.h5",
    log:
        "results/logs/finetune_on_hours/{labelled}_split{split}_{stream}_{hours}_{variant}_{labels}.log",
    benchmark:
        "results/benchmarks/finetune_on_hours/{labelled}_split{split}_{stream}_{hours}_{variant}_{labels}.tsv"
    message:
        "Fine-tuning {wildcards.variant}, pretrained on {wildcards.hours} hours of video, on"
        " {wildcards.labels} labelled videos per class of {wildcards.labelled}"


rule compare_hours:
    """Tabulate accuracy against hours of unlabelled video."""
    input:
        finetuned=finetuned_on_hours(),
        pretrained=pretrained_on_hours(),
        baseline=hours_classifiers("lstm_baseline"),
    output:
        "results/unlabelled_hours.csv",
    log:
        "results/logs/compare_hours.log",
    benchmark:
        "results/benchmarks/compare_hours.tsv"
    conda:
        ENVIRONMENT
    resources:
        **SMALL_JOB,
    params:
        scripts=scripts_folder,
        code=hash_code("compare_hours"),
        files=lambda wildcards, input: input_options(
            input, "finetuned", "pretrained", "baseline"
        ),
    message:
        "Tabulating accuracy against hours of unlabelled video"
    shell:
        "python {params.scripts}/compare_hours.py"
        " {params.files}"
        " --output {output}"
        " --log {log}"


rule draw_hours:
    """Draw accuracy against hours of unlabelled video."""
    input:
        "results/unlabelled_hours.csv",
    output:
        report(
            "results/figures/unlabelled_hours.png",
            caption="../report/unlabelled_hours.rst",
            category="2. Figures",
            labels={"figure": "accuracy against unlabelled video", "of": "all"},
        ),
        "results/figures/unlabelled_hours.svg",
    log:
        "results/logs/draw_hours.log",
    benchmark:
        "results/benchmarks/draw_hours.tsv"
    conda:
        ENVIRONMENT
    resources:
        **SMALL_JOB,
    params:
        scripts=scripts_folder,
        code=hash_code("draw_hours"),
    message:
        "Drawing accuracy against hours of unlabelled video"
    shell:
        "python {params.scripts}/draw_hours.py"
        " --hours {input}"
        " --output {output}"
        " --log {log}"
