# SPDX-License-Identifier: Apache-2.0
"""What ``load`` reads, and what it says when something is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from rejoinder.config import Config, find, load
from rejoinder.errors import ConfigError

GOOD = """\
[http]
listen = "127.0.0.1:9000"

[workers]
hold = "2s"

[[worker]]
name = "tickets"
file = "tickets.py"

[[domain]]
name = "Desk.example"

[[route]]
match = "support@desk.example"
worker = "tickets"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "rejoinder.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(folder: Path, text: str, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text), environment or {})
    return caught.value.text.replace(f"{folder}/", "")


def test_a_file_is_read_and_the_rest_has_its_default(tmp_path: Path) -> None:
    config = load(write(tmp_path, GOOD), {})
    assert config.http.listen == "127.0.0.1:9000"
    assert config.workers.hold == 2.0
    assert config.worker[0].file == Path("tickets.py")
    assert config.dns == Config().dns


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    environment = {
        "REJOINDER_HTTP__LISTEN": "127.0.0.1:9001",
        "REJOINDER_WORKERS__TIME_LIMIT": "1m",
        "REJOINDER_DNS__RESOLVERS": '["127.0.0.1:5353"]',
    }
    config = load(write(tmp_path, GOOD), environment)
    assert config.http.listen == "127.0.0.1:9001"
    assert (config.workers.hold, config.workers.time_limit) == (2.0, 60.0)
    assert config.dns.resolvers == ("127.0.0.1:5353",)


def test_a_config_made_in_code_ignores_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REJOINDER_HTTP__LISTEN", "127.0.0.1:9001")
    assert Config().http.listen == "127.0.0.1:8025"


def test_the_file_is_the_named_one_else_that_of_the_environment_else_the_one_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here = write(tmp_path, GOOD)
    other = tmp_path / "other.toml"
    other.write_text("", encoding="utf-8")
    assert find(other, {}) == other
    assert find(None, {"REJOINDER_CONFIG": str(other)}) == other
    assert find(None, {}).resolve() == here


def test_a_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.toml does not exist.*rejoinder config sample"):
        load(tmp_path / "nothing.toml", {})


WRONG = [
    # A value out of its range: file, line, name, value and rule.
    (
        '[outbound]\nroute = "direct"\nmx_port = 70000\n',
        "rejoinder.toml:3: outbound.mx_port = 70000 is refused: it should be less than or equal to 65535",
    ),
    # A text that is no duration: the rule of the type.
    (
        '[workers]\nhold = "5 parsecs"\n',
        "rejoinder.toml:2: workers.hold = \"5 parsecs\" is refused: '5 parsecs'",
    ),
    # A mistyped key: the near name.
    ("[http]\nlisen = 1\n", "rejoinder.toml:2: http.lisen is not a setting; did you mean listen?"),
    # A mistyped section.
    ("\n[outbonud]\n", "rejoinder.toml:2: outbonud is not a setting; did you mean outbound?"),
    # Nothing is near: everything that is known there.
    ("[dns]\nxyzzy = 1\n", "dns.xyzzy is not a setting; known here: resolvers, timeout, cache_size"),
    # Missing in the second of two: counted from 1, at its header.
    (
        '[[worker]]\nname = "a"\nfile = "a.py"\n[[worker]]\nname = "b"\n',
        "rejoinder.toml:4: worker[2].file is missing: The Python file",
    ),
    # Not TOML at all.
    ("[http]\nlisten = yes please\n", "rejoinder.toml:2: this is not TOML: Invalid value"),
    # Not TOML at its end.
    ('[http]\nlisten = "\n', "rejoinder.toml:2: this is not TOML:"),
    ("[dns\n", "rejoinder.toml:1: this is not TOML:"),
    # A rule over a whole section does not print the section.
    ('[outbound]\nroute = "relay"\n', "rejoinder.toml:1: outbound is refused: relay = '' is not a next hop"),
    # Contradictions between sections.
    (
        GOOD.replace('worker = "tickets"', 'worker = "ticket"'),
        "rejoinder.toml:16: route for support@desk.example: ",
    ),
    (GOOD.replace('worker = "tickets"', 'worker = "ticket"'), "no [[worker]] ticket; did you mean tickets?"),
    (GOOD.replace("support@desk", "support@dsk"), "rejoinder.toml:15: route for support@dsk.example: "),
    ('[[route]]\nmatch = "a@b.example"\nstore = true\n', 'write one with name = "b.example"'),
    # The same domain under another spelling is the same domain.
    (f'{GOOD}[[domain]]\nname = "DESK.example"\n', "rejoinder.toml:18: domain desk.example is there twice"),
    (
        f'{GOOD}[[route]]\nmatch = "Support@desk.example"\nstore = true\n',
        "rejoinder.toml:18: route for support@desk.example is there twice",
    ),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(tmp_path, text)


def test_everything_that_is_wrong_is_listed(tmp_path: Path) -> None:
    text = refused(tmp_path, '[http]\nlisten = "x"\n[outbound]\nmx_port = 0\n')
    assert text.startswith("2 settings are wrong.")
    assert "rejoinder.toml:2: http.listen" in text
    assert "rejoinder.toml:4: outbound.mx_port" in text
    assert text.count("rejoinder config sample") == 1


def test_a_wrong_variable_is_named_instead_of_the_file(tmp_path: Path) -> None:
    text = refused(tmp_path, GOOD, {"REJOINDER_OUTBOUND__MX_PORT": "many"})
    assert text.startswith('REJOINDER_OUTBOUND__MX_PORT: outbound.mx_port = "many" is refused')


def test_a_variable_that_names_no_setting_is_refused(tmp_path: Path) -> None:
    text = refused(tmp_path, GOOD, {"REJOINDER_OUTBONUD__MX_PORT": "25", "REJOINDER_CONFIG": "x"})
    assert text.startswith("REJOINDER_OUTBONUD__MX_PORT: outbonud")


def test_a_wrong_element_of_a_list_in_the_environment_is_the_variables(tmp_path: Path) -> None:
    text = refused(tmp_path, GOOD, {"REJOINDER_DNS__RESOLVERS": '["nowhere"]'})
    assert text.startswith("REJOINDER_DNS__RESOLVERS: dns.resolvers[1]")


def test_a_password_is_not_repeated(tmp_path: Path) -> None:
    text = refused(tmp_path, '[outbound]\nroute = "relay"\nrelay = "smtp://me:hunter2@relay.example"\n')
    assert "hunter2" not in text
    assert "me:***@relay.example" in text


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rejoinder.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read as UTF-8"):
        load(path, {})
