"""tune and inspect, as a user runs them."""

from __future__ import annotations

import json
import shutil


def test_tune_and_inspect_a_dataset(run, emoji, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("dress", "pizza", "dog", "running-shoe"):
        shutil.copy(emoji / "images" / f"{name}.png", folder)
        (folder / f"{name}.txt").write_text(f"a {name}</script>")
    assert run("ingest", folder).returncode == 0

    tuned = run("tune", "--target-recall", 0.9, "--json")
    assert tuned.returncode == 0, tuned.stderr
    answer = json.loads(tuned.stdout)
    assert (answer["dataset"], answer["target_recall"]) == ("pictures", 0.9)
    info = json.loads(run("datasets", "info", "pictures", "--json").stdout)
    assert info["target_recall"] == 0.9
    assert run("tune", "--target-recall", 7).returncode == 2

    seen = run("inspect", "--output", "health", "--json")
    assert seen.returncode == 0, seen.stderr
    report = json.loads(seen.stdout)
    assert report["images"]["count"] == report["captions"]["count"] == 4
    assert report["true_pairs"] > report["other_pairs"]
    assert report == json.loads((tmp_path / "health" / "report.json").read_text())
    names = {path.name for path in (tmp_path / "health").iterdir()}
    assert names == {"report.json", "map.html", "map.png", "similarity.png", "captions.png"}
    page = (tmp_path / "health" / "map.html").read_text()
    assert page.count("</script>") == 2
    assert "http:" not in page
    assert "modality gap" in run("inspect").stdout

    unknown = run("inspect", "--by", "colour")
    assert unknown.returncode == 2
    assert "there is no metadata" in unknown.stderr
