from mendsearch import progress
from mendsearch.progress import Reporter, shown


def test_where_there_is_no_terminal_progress_is_plain_lines_on_stderr(capsys):
    with Reporter().stage("mend", 3) as stage:
        for score in (0.1, 0.2, 0.3):
            stage.advance(f"best score {score}")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith("mend: 3/3 best score 0.3")
    assert "\x1b" not in captured.err


def test_a_stage_taken_up_counts_what_was_done(capsys):
    with Reporter().stage("mend", 5, done=4) as stage:
        stage.advance()
    assert "mend: 5/5" in capsys.readouterr().err


def test_small_scores_show_digits():
    assert [shown(value) for value in (-0.25, -0.00004, 0.0)] == ["-0.2500", "-4.00e-05", "0.0000"]
    assert shown(0.0001, signed=True) == "+1.00e-04"
    assert shown(0.0001, beside=0.002, signed=True) == "+0.0001"


def test_quiet_says_nothing(capsys):
    reporter = Reporter(quiet=True)
    with reporter.stage("mend", 1) as stage:
        stage.advance()
    reporter.say("a line")
    assert capsys.readouterr() == ("", "")


def test_lines_come_while_steps_are_done_and_seldom_while_none_is(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with Reporter().stage("mend", 9) as stage:
        for second in range(180):
            now[0] = float(second)
            stage.advance(done=second // 60)  # one step a minute, as other processes do them
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["1/9", "2/9"]
    with Reporter().stage("mend", 9) as stage:
        for second in range(180, 320):
            now[0] = float(second)
            stage.advance(done=0)
    assert len(capsys.readouterr().err.splitlines()) == 2
