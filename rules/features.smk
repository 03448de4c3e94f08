"""Frame features that the user has already, in place of RGB percepts of a network."""


rule import_features:
    """Take the user's features for every frame of a shard."""
    input:
        clips="results/clips/{dataset}/{shard}.h5",
        probed=lambda wildcards: probed_files(wildcards.dataset),
    output:
        "results/percepts/{dataset}/rgb/{shard}.h5",
    log:
        "results/logs/import_features/{dataset}_{shard}.log",
    benchmark:
        "results/benchmarks/import_features/{dataset}_{shard}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(4000),
        runtime=240,
    params:
        scripts=scripts_folder,
        code=hash_code("import_features"),
        files=lambda wildcards: fingerprint_features(wildcards.dataset),
        settings=lambda wildcards: settings_options(
            dataset=wildcards.dataset,
            percepts=settings.percepts.used(),
        ),
    message:
        "Reading features of {wildcards.dataset}, shard {wildcards.shard}"
    shell:
        "python {params.scripts}/import_features.py"
        " {params.settings}"
        " --clips {input.clips}"
        " --probed {input.probed}"
        " --output {output}"
        " --log {log}"
