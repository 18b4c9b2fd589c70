"""The migration page is complete, and the importer reads its examples."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from coordinator.tsung import options, servers, steps
from coordinator.tsung.configuration import PARTS, read_tsung
from loadgen.planfile import read_plan

PAGE = (Path(__file__).parents[4] / "docs" / "from-tsung.md").read_text()
BLOCKS = re.findall(r"^```(xml|toml)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
XML = [text for kind, text in BLOCKS if kind == "xml"]
PARTS_OF_A_FILE = {
    "clients": '<clients><client host="localhost"/></clients>',
    "servers": '<servers><server host="target" port="80" type="tcp"/></servers>',
    "load": '<load><user session="*" start_time="0"/></load>',
    "options": "<options/>",
    "session": '<session name="reader" probability="100" type="ts_websocket">'
    '<request><websocket type="connect"/></request></session>',
}


def configuration_with(text: str) -> str:
    """Returns a configuration with this part in it; a whole one as it is."""
    root = ElementTree.fromstring(text).tag
    if root == "tsung":
        return text
    parts = PARTS_OF_A_FILE | {root: text}
    assert len(parts) == len(PARTS_OF_A_FILE), f"<{root}> has no place in the test's file"
    session = parts.pop("session")
    return f"<tsung>{''.join(parts.values())}<sessions>{session}</sessions></tsung>"


@pytest.mark.parametrize("text", XML, ids=lambda text: text[:40])
def test_every_example_is_imported(tmp_path, text):
    (tmp_path / "example.xml").write_text(configuration_with(text))

    assert read_tsung(tmp_path / "example.xml").plan.total > 0


def test_the_reference_runs_plan_is_the_one_that_the_page_shows(tmp_path):
    (shown,) = (text for kind, text in BLOCKS if kind == "toml")
    (tmp_path / "bench.xml").write_text(XML[0])
    (tmp_path / "bench.toml").write_text(shown)

    assert read_tsung(tmp_path / "bench.xml").plan == read_plan(tmp_path / "bench.toml")


@pytest.mark.parametrize(
    "names",
    [
        sorted(steps._READERS),
        sorted(steps._SOURCES),
        sorted({*options._READERS, *options.NOT_HERE}),
        sorted(PARTS),
        sorted(set(servers.SCHEMES) - {"ws", "wss"}),
    ],
    ids=["steps", "sources", "options", "parts", "server types"],
)
def test_the_page_names_everything_that_is_read(names):
    assert [name for name in names if f"`{name}`" not in PAGE] == []
