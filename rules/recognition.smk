"""Classifiers, their scores and the tables."""


rule finetune_classifier:
    """Fine-tune classifiers on several draws of 1, 10 or all labelled videos per class."""
    input:
        unpack(classifier_inputs),
        validated=lambda wildcards: validation_inputs(wildcards),
    output:
        "results/finetune/{labelled}/split{split}/{stream}/{variant}/{labels}.h5",
    log:
        "results/logs/finetune_classifier/{labelled}_split{split}_{stream}_{variant}_{labels}.log",
    benchmark:
        "results/benchmarks/finetune_classifier/{labelled}_split{split}_{stream}_{variant}_{labels}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(8000),
        runtime=720,
        gpu=GPU,
    params:
        scripts=scripts_folder,
        code=hash_code("finetune_classifier"),
        files=lambda wildcards, input: input_options(input, "pretrained", "validated"),
        settings=lambda wildcards: classifier_options(wildcards),
    message:
        "Fine-tuning {wildcards.variant} on {wildcards.labels} labelled videos per class of"
        " {wildcards.labelled}, split {wildcards.split}, stream {wildcards.stream}"
    shell:
        "python {params.scripts}/finetune_classifier.py"
        " {params.settings}"
        " --videos {input.videos}"
        " --percepts {input.percepts}"
        " {params.files}"
        " --output {output}"
        " --threads {threads}"
        " --log {log}"
        " ${{TRAINING:-}}"


use rule finetune_classifier as validate_classifier with:
    """Fine-tune with one choice of settings, and validate on a part of the training videos."""
    input:
        unpack(classifier_inputs),
    output:
        "results/validate/{labelled}/split{split}/{stream}/{variant}/{labels}/{choice}.h5",
    log:
        "results/logs/validate_classifier/{labelled}_split{split}_{stream}_{variant}_{labels}_{choice}.log",
    benchmark:
        "results/benchmarks/validate_classifier/{labelled}_split{split}_{stream}_{variant}_{labels}_{choice}.tsv"
    params:
        scripts=scripts_folder,
        code=hash_code("finetune_classifier"),
        files=lambda wildcards, input: input_options(input, "pretrained"),
        settings=lambda wildcards: classifier_options(
            wildcards,
            choice=int(wildcards.choice),
            validation_fraction=settings.finetuning.validation_fraction,
        ),
    message:
        "Validating settings {wildcards.choice} of {wildcards.variant} on"
        " {wildcards.labels} labelled videos per class of {wildcards.labelled}, split"
        " {wildcards.split}, stream {wildcards.stream}"


rule fuse_streams:
    """Average the class probabilities of streams, with weights chosen on validation videos."""
    input:
        finetuned=lambda wildcards: [
            finetuned_file(*classifier)
            for classifier in fused_classifiers(**wildcards)
        ],
        validated=lambda wildcards: [
            file
            for classifier in fused_classifiers(**wildcards)
            for file in validated_files(*classifier)
        ],
    output:
        "results/fuse/{labelled}/split{split}/{streams}/{variant}/{labels}.h5",
    log:
        "results/logs/fuse_streams/{labelled}_split{split}_{streams}_{variant}_{labels}.log",
    benchmark:
        "results/benchmarks/fuse_streams/{labelled}_split{split}_{streams}_{variant}_{labels}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **SMALL_JOB,
    params:
        scripts=scripts_folder,
        code=hash_code("fuse_streams"),
    message:
        "Fusing {wildcards.streams} of {wildcards.labelled}, split {wildcards.split},"
        " {wildcards.variant}"
    shell:
        "python {params.scripts}/fuse_streams.py"
        " --finetuned {input.finetuned}"
        " --validated {input.validated}"
        " --output {output}"
        " --log {log}"


rule compare_choices:
    """Tabulate the accuracy on validation videos for each choice of settings."""
    input:
        [
            file
            for run in list_runs()
            for variant in CLASSIFIERS
            for labels in settings.finetuning.labels
            for file in validated_files(*run, variant, labels)
        ],
    output:
        "results/choices.csv",
    log:
        "results/logs/compare_choices.log",
    benchmark:
        "results/benchmarks/compare_choices.tsv"
    conda:
        ENVIRONMENT
    resources:
        **SMALL_JOB,
    params:
        scripts=scripts_folder,
        code=hash_code("compare_choices"),
    message:
        "Comparing the choices of settings on validation videos"
    shell:
        "python {params.scripts}/compare_choices.py"
        " --validated {input}"
        " --output {output}"
        " --log {log}"


rule collect_scores:
    """Collect every measured number, one per line, with its data set, model and measure."""
    input:
        finetuned=finetuned_files(),
        predictions=[*prediction_files("mnist"), *prediction_files("patches")],
    output:
        "results/scores.csv",
    log:
        "results/logs/collect_scores.log",
    benchmark:
        "results/benchmarks/collect_scores.tsv"
    conda:
        ENVIRONMENT
    resources:
        **SMALL_JOB,
    params:
        scripts=scripts_folder,
        code=hash_code("collect_scores"),
        files=lambda wildcards, input: input_options(input, "finetuned", "predictions"),
    message:
        "Collecting the scores"
    shell:
        "python {params.scripts}/collect_scores.py"
        " {params.files}"
        " --output {output}"
        " --log {log}"


rule make_table2:
    """Write table 2, which compares the variants."""
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
        **SMALL_JOB,
    params:
        scripts=scripts_folder,
        code=hash_code("make_table2"),
    message:
        "Writing table 2"
    shell:
        "python {params.scripts}/make_table2.py"
        " --scores {input}"
        " --output {output}"
        " --log {log}"


rule summarise_accuracy:
    """Summarise accuracies: means, intervals and the gain of each variant over lstm_baseline."""
    input:
        "results/scores.csv",
    output:
        "results/accuracy.csv",
    log:
        "results/logs/summarise_accuracy.log",
    benchmark:
        "results/benchmarks/summarise_accuracy.tsv"
    conda:
        ENVIRONMENT
    resources:
        **SMALL_JOB,
    params:
        scripts=scripts_folder,
        code=hash_code("summarise_accuracy"),
    message:
        "Summarising the accuracies"
    shell:
        "python {params.scripts}/summarise_accuracy.py"
        " --scores {input}"
        " --output {output}"
        " --log {log}"


use rule collect_scores as collect_fused_scores with:
    input:
        finetuned=[
            fused_file(dataset, split, streams, variant, labels)
            for dataset, split, streams in list_fused_runs()
            for variant in trained_variants("lstm_baseline", FUSED)
            for labels in settings.finetuning.labels
        ],
    output:
        "results/fused_scores.csv",
    log:
        "results/logs/collect_fused_scores.log",
    benchmark:
        "results/benchmarks/collect_fused_scores.tsv"
    message:
        "Collecting the scores of the fused streams"


use rule summarise_accuracy as summarise_fusion with:
    """Summarise the accuracies of fused streams, with and without pretraining."""
    input:
        "results/fused_scores.csv",
    output:
        "results/fusion.csv",
    log:
        "results/logs/summarise_fusion.log",
    benchmark:
        "results/benchmarks/summarise_fusion.tsv"
    message:
        "Summarising the accuracies of the fused streams"


rule make_paper_table:
    """Write table 1, 3 or 4, with the published accuracies."""
    input:
        lambda wildcards: paper_table_files(wildcards.number),
    output:
        "results/table{number}.csv",
    log:
        "results/logs/make_paper_table/table{number}.log",
    benchmark:
        "results/benchmarks/make_paper_table/table{number}.tsv"
    wildcard_constraints:
        number="[134]",
    conda:
        ENVIRONMENT
    resources:
        **SMALL_JOB,
    params:
        scripts=scripts_folder,
        code=hash_code("make_paper_table"),
        settings=lambda wildcards: settings_options(table=f"table{wildcards.number}"),
    message:
        "Writing table {wildcards.number}"
    shell:
        "python {params.scripts}/make_paper_table.py"
        " {params.settings}"
        " --finetuned {input}"
        " --output {output}"
        " --log {log}"
