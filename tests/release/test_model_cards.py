"""Model cards of the bundled networks, with the figures of their JSON cards."""

from __future__ import annotations

from pathlib import Path

import yaml

from amc_gym.zoo import bundled
from release.model_cards import write


def test_each_network_has_a_folder_with_weights_card_and_page(tmp_path: Path) -> None:
    folders = write(tmp_path)
    assert len(folders) == len(bundled.cards())
    for folder, card in zip(folders, bundled.cards(), strict=True):
        assert {each.name for each in folder.iterdir()} == {
            *(card["file"], f"{folder.name}.json", "README.md")
        }
        _, head, body = (folder / "README.md").read_text("utf-8").split("---\n", 2)
        (result,) = yaml.safe_load(head)["model-index"][0]["results"]
        assert result["metrics"][0]["value"] == card["accuracy"]["test"]["top1"]
        assert card["sha256"] in body
