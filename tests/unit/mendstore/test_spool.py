import os
import signal

from mendstore.spool import Spool


def killed_after_adding(folder, results):
    child = os.fork()
    if child == 0:
        spool = Spool(folder)
        for result in results:
            spool.add(result["item_id"], result)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


def test_what_a_killed_process_left_is_taken_once(tmp_path):
    killed_after_adding(tmp_path, [{"item_id": 1, "value": -0.5}, {"item_id": 2, "value": -0.25}])
    with Spool(tmp_path).left_behind() as results:
        assert [result["item_id"] for result in results] == [1, 2]
    with Spool(tmp_path).left_behind() as results:
        assert results == []
    assert list(tmp_path.iterdir()) == []


def test_results_stay_where_they_cannot_be_written(tmp_path):
    killed_after_adding(tmp_path, [{"item_id": 1}])
    try:
        with Spool(tmp_path).left_behind():
            raise ConnectionError
    except ConnectionError:
        pass
    with Spool(tmp_path).left_behind() as results:
        assert results == [{"item_id": 1}]


def test_a_living_process_keeps_its_own(tmp_path):
    spool = Spool(tmp_path)
    spool.add(1, {"item_id": 1})
    with Spool(tmp_path).left_behind() as results:
        assert results == []
    spool.remove(1)
    assert not list(tmp_path.glob("*.jsonl"))


def test_a_line_that_was_half_written_is_left_out(tmp_path):
    killed_after_adding(tmp_path, [{"item_id": 1}])
    [path] = tmp_path.glob("*.jsonl")
    path.write_text(path.read_text() + '{"item_id": 2, "val')
    with Spool(tmp_path).left_behind() as results:
        assert results == [{"item_id": 1}]
