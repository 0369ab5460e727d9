"""Settings: where values come from, what is refused, what is shown, and that the page about them is right."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.settings import Settings, SettingsError, load, load_settings, shown
from gateway.wiring import running

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_command_line_wins_over_the_environment_over_the_file_over_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("cohort.toml").write_text('port = 1\nprefix = "file"\nworker_batch = 5\n')
    monkeypatch.setenv("COHORT_PORT", "2")
    monkeypatch.setenv("COHORT_PREFIX", "environment")
    loaded = load({"port": 3, "host": None})
    names = ("port", "prefix", "worker_batch", "host")
    assert [getattr(loaded.settings, name) for name in names] == [3, "environment", 5, "127.0.0.1"]
    assert [loaded.origins[name] for name in names] == [
        "command line",
        "environment, COHORT_PREFIX",
        "cohort.toml",
        "default",
    ]


def test_another_file_may_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text('jwt_algorithms = ["HS512", "HS256"]')
    monkeypatch.setenv("COHORT_CONFIG", str(other))
    assert load_settings().jwt_algorithms == ("HS512", "HS256")
    other.unlink()
    with pytest.raises(SettingsError, match=r"other\.toml, which does not exist"):
        load_settings()


def test_empty_values_count_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COHORT_JWT_KEY", "")
    monkeypatch.setenv("COHORT_PORT", "")
    Path("cohort.toml").write_text('jwt_issuer = ""')
    assert load_settings() == Settings()


def test_lists_are_separated_by_commas_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COHORT_JWT_ALGORITHMS", "HS384, HS256")
    assert load_settings().jwt_algorithms == ("HS384", "HS256")


def test_hosts_of_icons_are_as_they_stand_in_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COHORT_ICON_HOSTS", "files.example, minio:9000, [::1]:9000")
    assert load_settings().icon_hosts == ("files.example", "minio:9000", "[::1]:9000")


def test_an_unknown_name_is_refused_with_the_nearest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("cohort.toml").write_text("prot = 1")
    with pytest.raises(SettingsError, match=re.escape("cohort.toml: prot is no setting; do you mean port?")):
        load_settings()
    Path("cohort.toml").unlink()
    monkeypatch.setenv("COHORT_CASH", "redis://cache/0")
    with pytest.raises(SettingsError, match="COHORT_CASH is no setting; do you mean COHORT_CACHE"):
        load_settings()


def test_variables_of_ours_that_are_no_settings_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COHORT_OULAD", "COHORT_EXAMPLES", "COHORT_STACK_DIR", "COHORT_STACK_KAFKA"):
        monkeypatch.setenv(name, "x")
    assert load_settings() == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "70000"),
        ("PORT", "x"),
        ("JWT_KEY", "too-short"),
        ("JWT_ALGORITHMS", "none"),
        ("JWT_ALGORITHMS", ","),
        ("PREFIX", "Blank "),
        ("REQUEST_TIMEOUT", "0"),
        ("LOG_LEVEL", "loud"),
        ("ICON_HOSTS", "files.example,https://files.example"),
        ("ICON_HOSTS", "files.example/icons"),
    ],
)
def test_a_wrong_value_names_its_variable_and_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"COHORT_{name}", value)
    with pytest.raises(SettingsError, match=f"environment, COHORT_{name}") as refused:
        load_settings()
    assert "too-short" not in str(refused.value)


def test_a_file_that_is_no_toml_says_where() -> None:
    Path("cohort.toml").write_text("port = \n")
    with pytest.raises(SettingsError, match=r"cohort.toml can't be read: .*line 1"):
        load_settings()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("redis://:hush@cache:6379/0", '"redis://:***@cache:6379/0"'),
        ("cassandra://ada:h/u:s@h@a,b/cohort", '"cassandra://ada:***@a,b/cohort"'),
        ("redis://cache/0?password=hush&db=1", '"redis://cache/0?password=***&db=1"'),
        ("kafka://a:9092,b:9092", '"kafka://a:9092,b:9092"'),
        (
            "kafkas://ada:hush@a:9094?sasl=PLAIN&cert=/c.pem&key=/k.pem",
            '"kafkas://ada:***@a:9094?sasl=PLAIN&cert=/c.pem&key=/k.pem"',
        ),
        ("s3://b?secret_access_key=hush&region=r", '"s3://b?secret_access_key=***&region=r"'),
        (SecretStr("hush"), '"***"'),
        (("HS256",), '["HS256"]'),
        (None, '""'),
        (True, "true"),
        (0.5, "0.5"),
        ('a"b\\', '"a\\"b\\\\"'),
    ],
)
def test_values_are_shown_as_toml_without_what_is_secret(value: object, text: str) -> None:
    assert shown(value) == text


def test_the_page_about_settings_says_what_the_code_does() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(COHORT_\w+)` \| (.+?) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    code = [
        (
            name,
            f"COHORT_{name.upper()}",
            "none" if field.default is None else f"`{shown(field.default)}`",
            field.description,
        )
        for name, field in Settings.model_fields.items()
    ]
    assert [row for row in rows if row[0] == row[0].lower()] == code


@pytest.mark.usefixtures("initialised")
async def test_an_operator_says_how_many_buckets_new_contexts_have() -> None:
    async with running(load_settings(context_buckets=32)) as instance:
        assert instance.shared.context_buckets == 32
    with pytest.raises(SettingsError, match="context_buckets"):
        load_settings(context_buckets=65)
