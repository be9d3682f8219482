"""Atomic writes: a file is complete or absent."""

import csv
import json
import os
import signal
import stat
from contextlib import suppress

import pytest
from children import run_forked

from amc_gym._utils.files import replacing, replacing_text, sweep, write_json, write_whole


def test_text_and_bytes_arrive_and_nothing_else_is_left(tmp_path):
    assert write_whole(tmp_path / "a", "Grüße") == tmp_path / "a"
    write_whole(tmp_path / "b", b"\x00\xff")
    assert (tmp_path / "a").read_bytes() == "Grüße".encode()
    assert (tmp_path / "b").read_bytes() == b"\x00\xff"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_a_document_comes_back(tmp_path):
    document = {"ns": [1, 2], "device": "a processor"}
    assert json.loads(write_json(tmp_path / "a.json", document).read_text()) == document


def test_text_is_written_piece_by_piece(tmp_path):
    with replacing_text(tmp_path / "a.csv") as file:
        csv.writer(file, lineterminator="\n").writerows([["Grüße", 1], [2, 3]])
        assert not (tmp_path / "a.csv").exists()
    assert (tmp_path / "a.csv").read_bytes() == "Grüße,1\n2,3\n".encode()
    with suppress(KeyError), replacing_text(tmp_path / "a.csv") as file:
        file.write("half")
        raise KeyError
    assert (tmp_path / "a.csv").read_bytes() == "Grüße,1\n2,3\n".encode()
    assert os.listdir(tmp_path) == ["a.csv"]


def test_what_was_there_stays_when_writing_fails(tmp_path, monkeypatch):
    path = write_whole(tmp_path / "plan.json", "the old one")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, "the new one")
    assert path.read_text() == "the old one"
    assert os.listdir(tmp_path) == ["plan.json"]


KILLED = """
import os, signal, sys
from pathlib import Path
from amc_gym._utils.files import replacing
with replacing(Path(sys.argv[1])) as file:
    file.write(b"half of it")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_writers_half_goes_with_the_next_writing(tmp_path):
    path = write_whole(tmp_path / "plan.json", "the old one")
    assert run_forked(KILLED, str(path)).returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 2
    assert path.read_text() == "the old one"
    write_whole(tmp_path / "other.json", "")
    assert len(os.listdir(tmp_path)) == 3  # another file's half may belong to another program
    write_whole(path, "the new one")
    assert sorted(os.listdir(tmp_path)) == ["other.json", "plan.json"]


def test_a_living_writers_half_is_left_alone(tmp_path):
    path = tmp_path / "plan.json"
    with replacing(path) as file:
        file.write(b"the first")
        sweep(tmp_path)
        write_whole(path, "the second")
        assert path.read_text() == "the second"
    assert path.read_text() == "the first"  # it ended last
    assert os.listdir(tmp_path) == ["plan.json"]


def test_users_files_are_never_swept(tmp_path):
    for name in ("plan.json.partial", "plan.json.old.partial", "plan.json.0a.partial.txt", "a"):
        (tmp_path / name).write_text("mine")
    sweep(tmp_path)
    write_whole(tmp_path / "plan.json", "")
    assert len(os.listdir(tmp_path)) == 5


def test_content_is_on_disk_before_it_takes_its_place_and_the_folder_after(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor):
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "content")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("replaced"), replace(a, b)))
    write_whole(tmp_path / "a", "text")
    assert order == ["content", "replaced", "folder"]


FULL = """
import resource, sys
from pathlib import Path
from amc_gym._utils.files import write_whole
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # of every file that is written
write_whole(Path(sys.argv[1]), "x" * 10_000)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits are POSIX's")
def test_without_room_the_error_names_the_file_and_the_old_content_stays(tmp_path):
    path = write_whole(tmp_path / "plan.json", "the old one")
    done = run_forked(FULL, str(path))
    assert done.stderr.splitlines()[-1] == f"OSError: [Errno 27] File too large: '{path}'"
    assert path.read_text() == "the old one"
    assert os.listdir(tmp_path) == ["plan.json"]


def test_errors_name_the_file_and_not_the_one_beside_it(tmp_path):
    with pytest.raises(FileNotFoundError) as told:
        write_whole(tmp_path / "nowhere" / "plan.json", "")
    assert told.value.filename == str(tmp_path / "nowhere" / "plan.json")
