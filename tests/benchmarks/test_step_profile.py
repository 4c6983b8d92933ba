"""The profile of a step: nested operations are counted once, and a real one's times add up to the step's."""

import pytest
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from benchmarks import parts
from benchmarks.fresh_process import Case
from benchmarks.measuring import run
from benchmarks.settings import BenchmarkSettings
from benchmarks.step_profile import REST, STARTED, operation_times, step_profile


def plane_of(events: list[tuple[str, int, int]], started: dict[str, str] | None = None) -> xplane_pb2.XPlane:
    """Makes a plane of one thread: (name, start, duration) each; ``started`` describes asynchronous ones."""
    plane = xplane_pb2.XPlane(name="/host:CPU")
    for number, (key, value) in enumerate((started or {}).items(), start=1):
        plane.stat_metadata[number].name = key
        plane.stat_metadata[number + 10].name = value
    line = plane.lines.add()
    for number, (name, offset, duration) in enumerate(events, start=1):
        plane.event_metadata[number].name = name
        event = line.events.add(metadata_id=number, offset_ps=offset, duration_ps=duration)
        if name == STARTED:
            for place in range(1, 1 + len(started or {})):
                event.stats.add(metadata_id=place, ref_value=place + 10)
    return plane


def test_an_operations_time_excludes_what_runs_inside_it() -> None:
    events = [("a/If:If", 0, 100), ("b/MatMul:_MklMatMul", 10, 30), ("c/Mul:Mul", 20, 5), ("d/Mul:Mul", 50, 20)]
    assert operation_times([plane_of(events)]) == {"If": 50, "MatMul": 25, "Mul": 25}
    assert operation_times([plane_of(events[::-1])]) == {"If": 50, "MatMul": 25, "Mul": 25}


def test_operations_of_other_planes_and_events_that_are_no_operations_do_not_count() -> None:
    plane = plane_of([("ExecutorState::Process", 0, 50), ("Run", 0, 50), ("x:y:z", 0, 9), ("m/Add:AddV2", 60, 7)])
    other = plane_of([("m/Add:AddV2", 0, 7)])
    other.name = "Task Environment"
    assert operation_times([plane, other]) == {"AddV2": 7}


@pytest.mark.parametrize("node, part", [("AdamWeightDecay/PartitionedCall_3", "optimizer"), ("Partitioned_1", "layers")])
def test_compiled_functions_are_told_apart_by_their_part(node: str, part: str) -> None:
    plane = plane_of([(STARTED, 0, 40)], {"name": node, "kernel_type": "PartitionedCall"})
    assert operation_times([plane]) == {f"compiled functions, {part}": 40}


def test_a_real_steps_profile_holds_products_and_compiled_functions() -> None:
    times = step_profile(Case(1, 64, 4, 8))
    assert {"MatMul", "compiled functions, layers", "compiled functions, optimizer", REST} <= set(times)
    assert list(times.values()) == sorted(times.values(), reverse=True) and min(times.values()) >= 0


def test_the_command_prints_both_profiles(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    times = {f"Op{number}": 10.0 for number in range(20)}
    monkeypatch.setattr(parts, "step_profile", lambda case: {"Mul": 300.0, **times} if case.original else times)
    assert run(BenchmarkSettings(parts="profile", sizes="2x64", shapes="3x8,4x16")) == 0
    printed = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("step 2x64, 4x16")]
    assert [line[3:] for line in printed[:2]] == [
        ["original", "whole", "step", "500.0", "ms", "100.0%"],
        ["original", "Mul", "300.0", "ms", "60.0%"],
    ]
    assert printed[-1][3:] == ["ours", "other", "operations", "80.0", "ms", "40.0%"]
