"""What the measuring process says is judged, also if it ends in the middle; and a real one on a tiny model."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from warm_processes import WarmProcess

from easytransfer_mtl.commands.doctor import run
from easytransfer_mtl.config.doctor_settings import DoctorSettings
from easytransfer_mtl.diagnosis import trials
from easytransfer_mtl.diagnosis.checks import FAULT, NOTE, OK
from easytransfer_mtl.diagnosis.gpus import TensorFlowFacts
from easytransfer_mtl.diagnosis.trials import Measured, Trial, flags_for, judge, measure, trial_checks
from easytransfer_mtl.errors import UserError

GOOD = Trial("CPU:0", "float32", 2.0, 8.0, 100.0, 0.0, 0.0, 0.0, True)
FACTS = {"tensorflow": {"version": "2.21.0", "gpus": [], "cuda": None}}
TINY = """
from easytransfer_mtl.diagnosis import measuring
measuring.LAYERS, measuring.WIDTH, measuring.VOCABULARY, measuring.ROWS, measuring.LENGTH = 1, 64, 50, 4, 8
measuring.STEPS, measuring.ROUNDS = 3, 1
measuring.main()
"""


def lines(*messages: dict[str, Any]) -> str:
    return "".join(json.dumps(message) + "\n" for message in messages)


def result(precision: str, loss: float | None, device: str = "CPU:0", **more: Any) -> dict[str, Any]:
    speeds = {"steps_per_s": 1.0, "predictions_per_s": 2.0, "step_mb": None, "repeats": True}
    steps = [[1.0, 3.0], [loss, 4.0]]
    return {"measured": {"device": device, "precision": precision, "steps": steps, "logits": [3.0, 4.0], **speeds, **more}}


def of(found: Trial, **more: Any) -> Measured:
    return Measured(TensorFlowFacts("2.21.0", (), None, ""), ["CPU:0"], [found], **more)


def test_deviations_are_from_float32_on_the_cpu() -> None:
    other = result("bfloat16", 2.1, logits=[3.0, 4.5])
    found = judge(lines(FACTS, {"compiler": "CPU:0"}, result("float32", 2.0), other), "", 0)
    first, second = found.trials
    assert (first.loss_deviation, first.gradient_deviation, first.logits_deviation) == (0.0, 0.0, 0.0)
    assert second.loss_deviation == pytest.approx(0.05) and second.logits_deviation == pytest.approx(0.1)
    assert not second.is_close
    assert [check.status for check in trial_checks(found)] == [OK, OK, OK, NOTE]


def test_a_loss_that_is_not_finite_is_not_close() -> None:
    found = judge(lines(FACTS, result("float32", 2.0), result("bfloat16", None)), "", 0)
    assert found.trials[1].loss_deviation is None and not found.trials[1].is_close
    assert "loss not finite" in trial_checks(found)[-1].found


def test_a_gpu_that_computes_wrongly_is_a_fault() -> None:
    found = judge(lines(FACTS, result("float32", 2.0), result("float32", 2.5, "GPU:0")), "", 0)
    assert trial_checks(found)[-1].status == FAULT
    assert [check.name for check in trial_checks(found)][-1] == "float32 on GPU:0"


def test_a_process_that_ends_early_names_the_part() -> None:
    said = lines(FACTS, {"stage": "XLA on GPU:0"}) + '{"sta'
    found = judge(said, "much\n", -11)
    assert (found.failed, found.reason) == ("XLA on GPU:0", "the process was ended by SIGSEGV")
    check = trial_checks(found)[-1]
    assert check.status == FAULT and check.name == "XLA on GPU:0" and "CUDA_VISIBLE_DEVICES=-1" in check.advice
    assert "no sign" in judge(said, "", None).reason
    assert judge(said, "Traceback\nImportError: libx.so is missing\n", 1).reason == "ImportError: libx.so is missing"


def test_a_tensorflow_that_is_not_imported_is_a_fault() -> None:
    found = judge(lines({"stage": "TensorFlow's import"}), "ImportError: cannot import name 'x'\n", 1)
    [check] = trial_checks(found)
    assert check.status == FAULT and "ImportError: cannot import name 'x'" in check.found


def test_steps_that_do_not_repeat_deserve_a_look_on_a_cpu_only() -> None:
    assert trial_checks(of(replace(GOOD, repeats=False)))[-1].status == NOTE
    assert trial_checks(of(replace(GOOD, repeats=False, device="GPU:0")))[-1].status == OK


def measured(*speeds: tuple[str, str, float], gpus: int = 0, far: str = "") -> Measured:
    found = [
        replace(GOOD, device=device, precision=name, steps_per_s=speed, loss_deviation=None if name == far else 0.0)
        for device, name, speed in speeds
    ]
    return Measured(TensorFlowFacts("2.21.0", ("A GPU",) * gpus, None, ""), ["CPU:0"], found)


def test_the_flags_are_those_of_what_is_faster_and_close() -> None:
    cpu = ("CPU:0", "float32", 1.0)
    assert flags_for(measured(cpu, ("CPU:0", "bfloat16", 1.05))) == []
    assert flags_for(measured(cpu, ("CPU:0", "bfloat16", 1.9))) == ["--precision=bfloat16"]
    assert flags_for(measured(cpu, ("CPU:0", "bfloat16", 1.9), far="bfloat16")) == []
    assert flags_for(measured()) == []


def test_the_flags_are_those_of_the_gpus_if_there_are_some() -> None:
    found = [("CPU:0", "float32", 1.0), ("CPU:0", "bfloat16", 3.0), ("GPU:0", "float32", 5.0), ("GPU:0", "bfloat16", 5.0)]
    several = ["--distribution_strategy=MirroredStrategy", "--workerGPU=2"]
    assert flags_for(measured(*found, gpus=1)) == []
    assert flags_for(measured(*found, gpus=2)) == several


def test_float16_is_for_gpus_that_are_slow_in_bfloat16() -> None:
    cpu = [("CPU:0", "float32", 1.0), ("CPU:0", "float16", 3.0)]
    assert flags_for(measured(*cpu)) == []
    slow = [("GPU:0", "float32", 5.0), ("GPU:0", "bfloat16", 4.0), ("GPU:0", "float16", 9.0)]
    assert flags_for(measured(*cpu, *slow, gpus=1)) == ["--precision=float16"]
    several = ["--distribution_strategy=MirroredStrategy", "--workerGPU=2"]
    assert flags_for(measured(*cpu, *slow, gpus=2)) == several
    fast = [("GPU:0", "float32", 5.0), ("GPU:0", "bfloat16", 9.0), ("GPU:0", "float16", 9.5)]
    assert flags_for(measured(*cpu, *fast, gpus=1)) == ["--precision=bfloat16"]


def test_predictions_have_a_precision_of_their_own() -> None:
    found = Measured(trials=[GOOD, replace(GOOD, precision="bfloat16", predictions_per_s=16.0)])
    assert flags_for(found) == ["--predict_precision=bfloat16"]


def test_a_real_process_measures_and_repeats_its_bits(tmp_path: Path) -> None:
    (tmp_path / "tiny.py").write_text(TINY, encoding="utf-8")
    done = WarmProcess([], tmp_path, script=tmp_path / "tiny.py").finish()
    found = judge(done.stdout, done.stderr, done.returncode)
    assert (found.failed, found.compilers) == ("", ["CPU:0"]), done.stderr
    assert [trial.precision for trial in found.trials] == ["float32", "bfloat16", "float16"]
    assert all(trial.is_close and trial.repeats and trial.steps_per_s > 0 for trial in found.trials)
    assert all(trial.logits_deviation and trial.loss_deviation for trial in found.trials[1:])
    assert all(check.status == OK for check in trial_checks(found))


def test_the_command_reports_a_process_that_crashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    crashing = tmp_path / "python"
    crashing.write_text('#!/bin/sh\necho \'{"stage": "the import"}\'\nkill -ILL $$\n', encoding="utf-8")
    crashing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crashing))
    assert run(DoctorSettings(output=str(tmp_path / "report.json"))) == 1
    assert "cannot be imported: the process was ended by SIGILL" in capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert not report["healthy"] and report["flags"] is None
    assert [check["name"] for check in report["checks"] if check["status"] == FAULT] == ["TensorFlow"]


def test_a_process_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = tmp_path / "python"
    hanging.write_text("#!/bin/sh\nexec sleep 600\n", encoding="utf-8")
    hanging.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(hanging))
    monkeypatch.setattr(trials, "SECONDS", 0.3)
    assert "no sign" in measure().reason


def test_without_measuring_the_report_is_of_texts_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(DoctorSettings(measure=False, model_dir=str(tmp_path), output=str(tmp_path / "report.json"))) == 0
    printed = capsys.readouterr().out
    assert "healthy" in printed and "steps/s" not in printed and "flags of train" not in printed
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["healthy"] and report["trials"] == []


def test_a_report_that_cannot_be_written_is_told_first(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is no folder"):
        run(DoctorSettings(measure=False, output=str(tmp_path / "file/report.json")))
