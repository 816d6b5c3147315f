from rich.console import Console

from mendstore.records import RunResult
from mendview.tables import budgets_table, caption, headings, outputs_table, result_rows, result_table
from mendview.words import cost

ROW = {"accuracy": 0.975, "macs": 2000, "params": 300, "latency_ms": 0.25}
KEPT = {
    "accuracy_before": 0.95,
    "keep_counts": {"conv1": 7, "layer1.0.conv1": 9},
    "score": -0.4321,
    "part": 0.5,
    "validation": [0.95, 0.96, 0.97],
}
RESULT = {
    "format": 2,
    "search": "demo",
    "model": {"name": "digits-resnet", "kwargs": {}},
    "budget": {"given": {"macs": 0.2}, "absolute": {"macs": 2000.0}},
    "test_images": 450,
    "dense": ROW | {"macs": 10000},
    "validation_images": 400,
    "finalists": dict.fromkeys(("uniform", "pre_pruned", "mended"), ROW | KEPT),
    "exported": "pre_pruned",
    "trials": {"complete": 60, "stopped_early": 0, "failed": 1},
    "seconds": {"mend": 3.0},
    "seed": 0,
    "versions": {},
}


def test_the_error_of_an_accuracy_is_that_of_its_items_where_it_is_known():
    rows = result_rows(RunResult(**RESULT | {"dense": RESULT["dense"] | {"accuracy_error": 0.002}}), -0.1)
    assert [row[1] for row in rows[:2]] == ["97.50 ± 0.20%", "97.50 ± 0.74%"]


def test_the_table_has_every_row_and_figure():
    result = RunResult.read(RESULT)
    rows = result_rows(result, -0.1)
    assert [row[0] for row in rows] == ["dense", "uniform", "pre-pruned (= uniform), exported", "mended (= uniform)"]
    measured = "97.50 ± 0.74%"  # the standard error of 450 images
    assert rows[0] == ("dense", measured, "", "", "", "−0.1000", "10,000 (100.0%)", "300", "0.25 ms")
    assert rows[3] == (
        "mended (= uniform)", measured, "50%", "95.0% → 96.0% → 97.0%", "95.00%", "−0.4321", "2,000 (20.0%)", "300", "0.25 ms",
    )  # fmt: skip
    console = Console(width=140, record=True)
    console.print(result_table(result, -0.1))
    assert "pre-pruned" in console.export_text()


def test_budgets_are_compared_at_the_speed_of_their_own_run():
    slower = RESULT | {"search": "demo-2", "exported": "mended", "dense": RESULT["dense"] | {"latency_ms": 0.5}}
    console = Console(width=160, record=True)
    console.print(budgets_table([RunResult.read(RESULT), RunResult.read(slower)]))
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in console.export_text().splitlines() if "│" in line
    ]
    measured = "97.50 ± 0.74%"
    assert rows == [
        ["", "dense", measured, "", "", "10,000 (100.0%)", "300", "0.25 ms"],
        ["demo", "pre-pruned", *3 * [measured], "2,000 (20.0%)", "300", "0.25 ms (100.0%)"],
        ["demo-2", "mended", *3 * [measured], "2,000 (20.0%)", "300", "0.25 ms (50.0%)"],
    ]


def test_budgets_of_an_older_run_have_a_gap_where_the_random_structure_would_be():
    newer = RESULT | {"search": "newer", "finalists": RESULT["finalists"] | {"random": ROW | KEPT | {"accuracy": 0.5}}}
    console = Console(width=200, record=True)
    console.print(budgets_table([RunResult.read(RESULT), RunResult.read(newer)]))
    text = console.export_text()
    assert "random" in text
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]
    assert [row[5] for row in cells] == ["", "–", "50.00 ± 2.36%"]


def test_a_random_structure_that_is_uniform_says_so():
    rows = {name: RESULT["finalists"][name] for name in ("uniform", "pre_pruned")} | {"random": ROW | KEPT}
    result = RunResult.read(RESULT | {"finalists": rows | {"mended": ROW | KEPT}})
    assert result_rows(result, None)[3][0] == "random (= uniform)"


def test_a_metric_takes_the_place_of_accuracy():
    figures = {"accuracy": None, "accuracy_before": None, "metric": 0.8123, "metric_before": 0.7}
    change = {"finalists": {name: row | figures for name, row in RESULT["finalists"].items()}}
    dense = RESULT["dense"] | {"accuracy": None, "metric": 0.9}
    result = RunResult.read(RESULT | change | {"dense": dense, "metric": "shapes.scores:mean_iou"})
    rows = result_rows(result, 0.91)
    assert rows[0][:3] == ("dense", "0.9000", "")
    assert rows[3][:5] == ("mended (= uniform)", "0.8123", "50%", "0.9500 → 0.9600 → 0.9700", "0.7000")
    assert headings(result)[1] == "test mean_iou"
    assert "score: mean_iou on the validation split" in caption(result)
    agreement = RunResult.read(RESULT | change | {"dense": dense, "metric": "agreement"})
    assert headings(agreement)[1] == "test agreement"
    assert "minus the divergence" in caption(agreement)


def test_where_the_budget_is_in_time_the_times_are_those_of_its_device():
    times = dict.fromkeys(("dense", "uniform", "pre_pruned", "mended"), 7.5)
    timing = {
        "setting": {"runtime": "onnxruntime", "device": "a board", "batch": 4}, "profile": "1", "error": 0.04,
        "asked_ms": 8.0, "predicted_ms": times, "measured_ms": times | {"mended": 8.25}, "noise": 0.01, "met": True,
    }  # fmt: skip
    measured = RunResult.read(RESULT | {"timings": {"latency_ms": timing}})
    assert result_rows(measured, None)[3][-1] == "8.25 ms (7.5 predicted)"
    assert "latency: a pass of 4 in onnxruntime on a board; 8 ms were asked for, met; predictions err by " in caption(
        measured
    )
    slower = RunResult.read(RESULT | {"timings": {"latency_ms": timing | {"pace": 1.25}}})
    assert "8 ms were asked for (10 at the pace at which the device was measured), met; " in caption(slower)
    unmeasured = timing | {"measured_ms": {}, "noise": None, "met": None}
    elsewhere = RunResult.read(RESULT | {"timings": {"latency_ms": unmeasured}})
    assert result_rows(elsewhere, None)[3][-1] == "7.5 ms predicted"
    both = RunResult.read(RESULT | {"timings": {"latency_ms.board": timing, "latency_ms.phone": unmeasured}})
    assert result_rows(both, None)[3][-1] == "8.25 ms on board (7.5 predicted), 7.5 ms on phone predicted"
    assert (
        "latency: board: a pass of 4 in onnxruntime on a board; 8 ms were asked for, met; predictions err by "
        in caption(both)
    )
    assert " on average. phone: " in caption(both)
    assert cost("latency_ms", 0.651) == "0.651 ms"
    assert cost("size_bytes", 2e6) == "2 M bytes of weights"


def test_outputs_are_listed_with_their_reasons():
    outputs = [
        {"name": "classes", "shape": [3, 8, 8], "divergence": "kl", "axis": 1, "weight": 1.0, "reason": "logits"},
        {"name": "anchors", "shape": [], "divergence": "none", "axis": None, "weight": 1.0, "reason": "its first axis"},
    ]
    console = Console(width=140, record=True)
    console.print(outputs_table({"outputs": outputs}))
    text = console.export_text()
    assert "3 x 8 x 8" in text
    assert "kl, axis 1" in text
    assert "its first axis" in text


def test_without_a_result_there_are_no_rows():
    assert result_rows(None, 0.0) == []
