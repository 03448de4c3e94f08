"""A changed setting or module reruns the stages that use it and those that follow, no other.

The plans are Snakemake's own (`snakemake -n`), made in this process; a few are also made by the
command. The artifacts are stubs, as a plan reads only metadata and modification times.
"""

import contextlib
import copy
import io
import os
import random
import sys
from collections import Counter
from typing import get_args, get_origin
from unittest import mock

import pytest
import snakemake.cli
import snakemake.workflow
import yaml
from projects import CONFIG, ROOT, copy_code, counts
from projects import snakemake as run_snakemake
from rerun_tables import CHANGED, IMPOSSIBLE, KINDS, MODULES, STAGES

from video_lstm.settings.base import Section
from video_lstm.settings.pipeline import Settings

PYTHON = sys.executable
TARGETS = ("tables", "choices", "fusion", "representations", "figures", "capacity", "convlstm")

# Takes the place of Python: creates every file that is named on the command line.
STUB = """#!/bin/sh
for word; do
    case $word in
    results/*.*) [ -e "$word" ] || { mkdir -p "${word%/*}"; echo made > "$word"; } ;;
    results/*) mkdir -p "$word" ;;
    esac
done
"""

# The settings ------------------------------------------------------------------------------------


def settings_of(model, path=()):
    """Dotted names of all settings; `*` is a data set, a kind of split is part of the name."""
    for name, field in model.model_fields.items():
        is_list = get_origin(field.annotation) is list
        inner = [] if is_list else list(sections(field.annotation))
        if not inner:
            yield ".".join((*path, name))
        for section in inner:
            key = ("*",) if "dict" in str(field.annotation) else ()
            kind = get_args(section.model_fields["by"].annotation) if len(inner) > 1 else ()
            yield from settings_of(section, (*path, name, *key, *kind))


def sections(annotation):
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in get_args(annotation):
        yield from sections(argument)


def row(table, setting):
    """Value of the longest key of a table that the setting's name ends with."""
    names = [n for n in table if setting == n or setting.endswith(f".{n}")]
    assert names, f"'{setting}' has no row in CHANGED"
    return table[max(names, key=len)]


def stages(name, table=STAGES):
    """Value of the longest key that the setting's or module's name begins with."""
    names = [n for n in table if f"{name}.".startswith(f"{n}.")]
    assert names, f"'{name}' has no row in the table"
    return table[max(names, key=len)]


# The plans ---------------------------------------------------------------------------------------


class Project:
    """A project whose artifacts are stubs, and its plans.

    Attributes:
        base: Configuration that the stubs were created with.
    """

    def __init__(self, folder, base):
        self.folder, self.base = copy_code(folder), base
        for dataset in ("tiny", "unlabelled"):
            (self.folder / "features" / dataset).mkdir(parents=True)

    def call(self, *options, config=None):
        """Run Snakemake in this process; return its workflow."""
        (self.folder / "edited.yaml").write_text(yaml.safe_dump(config or self.base))
        parser, arguments = snakemake.cli.parse_args(
            [*options, "--cores", "2", "--configfile", "edited.yaml"]
        )
        stream, scripts = io.StringIO(), self.folder / "workflow_scripts"
        with (
            mock.patch("video_lstm.code._LIBRARY", scripts / "video_lstm"),
            mock.patch("video_lstm.layout.SCRIPTS", scripts),
            contextlib.redirect_stderr(stream),
            contextlib.redirect_stdout(stream),
        ):
            succeeded = snakemake.cli.args_to_api(arguments, parser)
        assert succeeded, stream.getvalue()[-3000:]
        return WORKFLOWS.pop()

    def plan(self, *seeds, config=None, targets=TARGETS, options=()):
        """Jobs that would run, and jobs that match the seeds or depend on them."""
        dag = self.call(*targets, "-n", "--quiet", *QUIET, *options, config=config).dag
        planned = {named(job) for job in dag.needrun_jobs()}
        return planned, with_followers(dag, lambda job: matches(job, seeds))


QUIET = ("rules", "progress")
WORKFLOWS = []


def with_followers(dag, condition):
    """Names of the jobs that meet a condition and of those that depend on them."""
    names, jobs = set(), list(dag.jobs)
    while True:
        following = {
            named(job)
            for job in jobs
            if condition(job) or names & set(map(named, dag.dependencies[job]))
        }
        if following <= names:
            return names
        names |= following


def named(job):
    return job.rule.name, *job.wildcards


def matches(job, seeds):
    rule, *values = named(job)
    return rule in seeds or any(f"{rule}:{value}" in seeds for value in values)


@pytest.fixture(scope="module", autouse=True)
def in_this_process(tmp_path_factory):
    """Make Snakemake record its workflow and parse the same rules only once."""
    execute, parse, parsed = snakemake.workflow.Workflow.execute, snakemake.workflow.parse, {}

    def execute_and_keep(workflow, *arguments, **named):
        WORKFLOWS.append(workflow)
        return execute(workflow, *arguments, **named)

    def parse_once(path, workflow, linemap, rulecount):
        key = str(path.get_path_or_uri(secret_free=False)), rulecount
        if key not in parsed:
            lines = {}
            parsed[key] = (*parse(path, workflow, linemap=lines, rulecount=rulecount), lines)
        code, rules, lines = parsed[key]
        linemap.update(lines)
        return code, rules

    stub = tmp_path_factory.mktemp("stub") / "python"
    stub.write_text(STUB)
    stub.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snakemake.workflow.Workflow, "execute", execute_and_keep)
        patch.setattr(snakemake.workflow, "parse", parse_once)
        patch.setattr(sys, "executable", str(stub))
        patch.setattr(sys, "path", [*sys.path])
        patch.setenv("PATH", os.environ["PATH"])
        yield


def run_targets(folder, targets, **changes):
    """Create a project with stubs for the targets."""
    base = yaml.safe_load((ROOT / CONFIG).read_text())
    base["datasets"]["tiny"]["splits"]["num_splits"] = 2
    base["datasets"]["tiny"] |= changes
    project = Project(folder, base)
    with contextlib.chdir(project.folder):
        project.call(*targets)
    return project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return run_targets(tmp_path_factory.mktemp("reruns") / "project", TARGETS)


@pytest.fixture
def inside(project, monkeypatch):
    monkeypatch.chdir(project.folder)
    return project


def edited(base, setting):
    """The configuration with one setting changed."""
    config = section = copy.deepcopy(base)
    words = setting.replace("*", "tiny").replace(".group.", ".").split(".")
    *path, name = [word for word in words if word not in KINDS]
    if name == "by":
        *path, name = path
    for word in path:
        section = section.setdefault(word, {})
    value = row(CHANGED, setting)
    assert section.get(name) != value
    section[name] = value
    return config


ALL = list(settings_of(Settings))
USUAL = [s for s in ALL if s not in IMPOSSIBLE and not any(f".{kind}." in s for kind in KINDS)]


def select_settings():
    """Return all settings with VIDEO_LSTM_ALL=1 (a minute), else only some of `training`."""
    training = [s for s in USUAL if ".training." in s]
    few = training if os.environ.get("VIDEO_LSTM_ALL") else random.Random(7).sample(training, 20)
    return [s for s in USUAL if s not in training or s in few]


def differences(planned, expected):
    return {"unexpected": planned - expected, "missing": expected - planned}


def test_a_changed_setting_reruns_its_stages_and_no_other(inside):
    assert inside.plan() == (set(), set())
    assert all(edited(inside.base, s) and stages(s) is not None for s in USUAL)
    wrong = {}
    for setting in select_settings():
        planned, expected = inside.plan(*stages(setting), config=edited(inside.base, setting))
        if planned != expected:
            wrong[setting] = differences(planned, expected)
    assert not wrong


def library_files(project):
    """Return the path of each file with code in the project's library, by the module's name."""
    library = project.folder / "workflow_scripts/video_lstm"
    files = (path for path in sorted(library.rglob("*.*")) if path.suffix in (".py", ".csv"))
    return {
        ".".join(path.relative_to(library).with_suffix("").parts): path
        for path in files
        if path.name != "__init__.py"
    }


def test_the_code_of_a_job_contains_the_modules_that_its_stage_uses(inside):
    """A changed hash in `code`, a parameter of every rule, makes Snakemake rerun its jobs."""
    dag, wrong = inside.call(*TARGETS, "-n", "--quiet", *QUIET).dag, {}
    scripts = inside.folder / "workflow_scripts"
    for module, path in library_files(inside).items():
        names = {f"video_lstm.{module}", path.relative_to(scripts).as_posix()}
        users = with_followers(dag, lambda job, names=names: names & {*job.params.get("code", ())})
        expected = with_followers(dag, lambda job, m=module: matches(job, stages(m, MODULES)))
        if users != expected:
            wrong[module] = differences(users, expected)
    assert not wrong
    for package in scripts.rglob("__init__.py"):
        assert "from video_lstm" not in package.read_text()


@pytest.mark.parametrize("module", ["video.splits", "models.lstm", "evaluation.published"])
def test_a_changed_module_reruns_its_stages_and_no_other(inside, module):
    path = library_files(inside)[module]
    code = path.read_text()
    path.write_text(f"{code}\nCHANGED = True\n")
    planned, expected = inside.plan(*stages(module, MODULES))
    path.write_text(code)
    assert planned == expected


@pytest.mark.parametrize("setting", random.Random(7).sample(USUAL, 4))
def test_the_command_plans_the_same(inside, setting, monkeypatch):
    config = edited(inside.base, setting)
    planned, _ = inside.plan(config=config)
    monkeypatch.setattr(sys, "executable", PYTHON)
    output = run_snakemake(inside.folder, *TARGETS, "-n", config="edited.yaml").stdout
    assert counts(output) == Counter(rule for rule, *_ in planned)


@pytest.mark.parametrize("kind", KINDS)
def test_settings_of_every_kind_of_split_rerun_the_index(tmp_path, monkeypatch, kind):
    target = ["results/videos/tiny.h5"]
    project = run_targets(tmp_path / "project", target, splits=KINDS[kind])
    monkeypatch.chdir(project.folder)
    for setting in ALL:
        if f".{kind}." in setting and setting not in IMPOSSIBLE:
            config = edited(project.base, setting)
            planned, _ = project.plan(config=config, targets=target)
            assert planned == {("index_videos", "tiny")}, setting
    if kind == "list":
        with (project.folder / "config.yaml").open("a") as file:
            file.write("# a list that has changed\n")
        assert project.plan(targets=target)[0] == {("index_videos", "tiny")}
