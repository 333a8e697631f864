"""The launchers really run a study's runs; Slurm, which is not here, is handed what it should be."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from segup.ablation.study import read_study
from segup.cli.composed import configs_folder
from segup.cli.study_terms import runs_at_once
from segup.cli.sweep import read_sweep
from segup.cli.train import run
from segup.errors import ConfigError

PLUGINS = {
    "joblib": "hydra_plugins.hydra_joblib_launcher",
    "submitit_local": "hydra_plugins.hydra_submitit_launcher",
    "submitit_slurm": "hydra_plugins.hydra_submitit_launcher",
    "ray": "hydra_plugins.hydra_ray_launcher",
}
TINY = [
    "encoder.pretrained=false",
    "decoder.widths=[4,4,4,4,4]",
    "data.crop_size=[33,35]",
    "data.batch_size=2",
    "data.samples_per_epoch=2",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
]


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def needs(launcher):
    for module in (PLUGINS[launcher], {"joblib": "joblib", "ray": "ray"}.get(launcher, "submitit")):
        pytest.importorskip(module)


def sweep(*words):
    return read_sweep("train.py", ["-m", *words], configs_folder())


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local", "ray"])
def test_a_launcher_runs_a_study_and_a_failing_run_leaves_the_others(launcher, capfd):
    needs(launcher)
    assert run(["-m", "decoder=deconv,bilinear", "optimizer.lr=1e-3,-1", f"hydra/launcher={launcher}", *TINY]) == 1
    study = read_study("ablations/train")
    assert [member.state for member in study.members] == ["finished", "failed", "finished", "failed"]
    assert study.members[1].cause == "ConfigError: optimizer.lr=-1 must be a number above 0"
    captured = capfd.readouterr()
    assert "is validated against ConfigStore schema" not in captured.err
    assert "2 of 4 runs failed: " in captured.err


@pytest.mark.parametrize("launcher", list(PLUGINS))
def test_a_launcher_that_is_not_installed_is_named_with_its_extra(launcher, monkeypatch, capfd):
    monkeypatch.setattr("segup.cli.study_terms.find_spec", lambda name: None)
    assert run(["-m", "seed=0,1", f"hydra/launcher={launcher}"]) == 1
    extra = launcher.partition("_")[0]
    plugin = PLUGINS[launcher].partition(".")[2].replace("_", "-")
    assert capfd.readouterr().err == (
        f"ConfigError: hydra/launcher={launcher} needs {plugin}, which is not installed.\n"
        f"  try: pip install 'segup[{extra}]'\n"
    )


@pytest.mark.parametrize("launcher", list(PLUGINS))
def test_a_launchers_keys_are_those_that_its_plugin_knows(launcher):
    needs(launcher)
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins
    from omegaconf import OmegaConf

    Plugins.instance()
    own = yaml.safe_load((configs_folder() / "hydra" / "launcher" / f"{launcher}.yaml").read_text())
    module = sys.modules[f"{PLUGINS[launcher]}.config" if launcher != "ray" else f"{PLUGINS[launcher]}._config"]
    kind = {
        "joblib": "JobLibLauncherConf",
        "submitit_local": "LocalQueueConf",
        "submitit_slurm": "SlurmQueueConf",
        "ray": "RayLauncherConf",
    }[launcher]
    merged = OmegaConf.merge(OmegaConf.structured(getattr(module, kind)), own)
    assert merged._target_ == own["_target_"]
    assert ConfigStore.instance() is not None


def test_slurm_is_asked_for_what_the_configuration_says(monkeypatch):
    needs("submitit_slurm")
    import submitit

    asked = {}

    class Executor:
        def __init__(self, **options):
            asked["init"] = options

        def update_parameters(self, **options):
            asked["parameters"] = options

        def map_array(self, function, *arguments):
            asked["jobs"] = list(zip(*arguments, strict=True))
            return [SimpleNamespace(results=lambda: [SimpleNamespace(return_value=None)]) for _ in asked["jobs"]]

    monkeypatch.setattr(submitit, "AutoExecutor", Executor)
    words = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu", "hydra.launcher.cpus_per_task=3"]
    assert run(["-m", "decoder=deconv,bilinear", "ablation.name=on_slurm", *words, *TINY]) == 1  # nothing was trained
    assert asked["init"] == {
        "cluster": "slurm",
        "folder": "ablations/on_slurm/.sweep/submitit/%j",
        "slurm_max_num_timeout": 5,
    }
    parameters = asked["parameters"]
    assert (parameters["slurm_partition"], parameters["cpus_per_task"], parameters["mem_gb"]) == ("gpu", 3, 16)
    assert (parameters["timeout_min"], parameters["gpus_per_node"], parameters["name"]) == (720, 1, "on_slurm")
    assert [job[2] for job in asked["jobs"]] == [0, 1]
    config = yaml.safe_load(Path("ablations/on_slurm/deconv/0/config.yaml").read_text())
    assert config["trainer"]["threads"] is None  # its node's cores are its own
    assert [member.state for member in read_study("ablations/on_slurm").members] == ["waiting", "waiting"]


def test_runs_on_one_machine_share_its_cores(monkeypatch):
    monkeypatch.setattr("segup.cli.study_terms.cores", lambda: 8)

    def at_once(*words):
        return runs_at_once(sweep(*words))

    assert (at_once(), at_once("ablation.at_once=3")) == (1, 3)
    assert at_once("hydra/launcher=joblib") == 8
    assert at_once("hydra/launcher=joblib", "hydra.launcher.n_jobs=-3") == 6
    assert at_once("hydra/launcher=joblib", "hydra.launcher.n_jobs=4", "ablation.at_once=2") == 2
    assert at_once("hydra/launcher=submitit_local") == 8
    assert at_once("hydra/launcher=ray", "hydra.launcher.ray.remote.num_cpus=2") == 4
    assert at_once("hydra/launcher=ray", "hydra.launcher.ray.init.address=auto") is None
    assert at_once("hydra/launcher=submitit_slurm") is None
    with pytest.raises(ConfigError, match="ablation.at_once=True must be an int"):
        at_once("ablation.at_once=true")
