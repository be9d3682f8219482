"""Files are whole or not there."""

import json
import os

import pytest

from amc_gym.files import write_json, write_whole


def test_text_and_bytes_arrive_and_nothing_else_is_left(tmp_path):
    assert write_whole(tmp_path / "a", "Grüße") == tmp_path / "a"
    write_whole(tmp_path / "b", b"\x00\xff")
    assert (tmp_path / "a").read_bytes() == "Grüße".encode()
    assert (tmp_path / "b").read_bytes() == b"\x00\xff"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_a_document_comes_back(tmp_path):
    document = {"ns": [1, 2], "device": "a processor"}
    assert json.loads(write_json(tmp_path / "a.json", document).read_text()) == document


def test_what_was_there_stays_when_writing_fails(tmp_path, monkeypatch):
    path = write_whole(tmp_path / "plan.json", "the old one")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, "the new one")
    assert path.read_text() == "the old one"
    assert os.listdir(tmp_path) == ["plan.json"]
