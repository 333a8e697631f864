"""One operator under two names, registered from outside, in a real study: never better than itself."""

import sys
import textwrap

import pytest

from segup.ablation.report.content import read_report
from segup.cli.train import run


@pytest.mark.slow
def test_an_operator_under_two_names_is_never_better(tmp_path, monkeypatch):
    (tmp_path / "twins.py").write_text(textwrap.dedent(
        """
        from segup.upsamplers.contract import operator_class

        kind = operator_class("deconv")


        class One(kind):
            pass


        class Other(kind):
            pass
        """
    ))  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{':'.join(sys.path)}")
    monkeypatch.syspath_prepend(str(tmp_path))
    tiny = [
        "encoder.pretrained=false", "decoder.widths=[4,4,4,4,4]", "data.crop_size=[33,35]", "data.batch_size=2",
        "data.samples_per_epoch=4", "trainer.max_epochs=1", "trainer.accelerator=cpu", "trainer.threads=1",
    ]  # fmt: skip
    assert run(["-m", "decoder=deconv", "decoder.upsampler=twins:One,twins:Other", "seed=0,1", *tiny]) == 0
    for baseline in ("twins:One", "twins:Other", "all"):
        found = read_report("ablations/train", baseline).comparison
        assert [(one.verdict, one.pairs) for one in found.decision.differences] == [("equal", 2)]
        assert found.decision.differences[0].mean == 0  # the seed decides every weight and batch: nothing else does
        assert not any(found.decision.best(row.name) for row in found.rows)
