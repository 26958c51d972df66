"""Claims about a PostgreSQL that is set up in another way: each address leads to a whole warehouse, or is refused in a sentence.

Against a real server, and a real PgBouncer before it.
"""

from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest

from benchmarks.postgres import PASSWORD, USER, Postgres
from vanc311_pipeline import schema
from vanc311_pipeline.errors import EXIT_USAGE, SettingsError, StorageRefused
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse.engine import Warehouse

TABLES = len([*schema.metadata.sorted_tables, *schema.work_metadata.sorted_tables])


@pytest.fixture
def database(postgres) -> str:
    return postgres.make(f"addresses_{uuid4().hex}")


def tables_in(postgres: Postgres, database: str, name: str) -> int:
    with psycopg.connect(postgres.url(database)) as connection:
        query = "SELECT count(*) FROM pg_tables WHERE schemaname = %s"
        return connection.execute(query, (name,)).fetchone()[0]


def command(postgres: Postgres, database: str, statement: str) -> None:
    with psycopg.connect(postgres.url(database), autocommit=True) as connection:
        connection.execute(statement.encode())


def opened(url: str) -> Warehouse:
    warehouse = Warehouse(Settings(database_url=url))
    warehouse.create()
    with warehouse.read() as connection:
        assert connection.exec_driver_sql("SELECT source FROM data_origin").scalar() == "portal"
    return warehouse


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cant_hold_every_text_is_refused(postgres, encoding):
    name = f"encoded_{uuid4().hex}"
    postgres.make(name, "template0", f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'")
    with pytest.raises(SettingsError, match=f"encoded in {encoding}.*ENCODING 'UTF8'") as error:
        Warehouse(Settings(database_url=postgres.warehouse_url(name))).create()
    assert error.value.exit_code == EXIT_USAGE


def test_a_pooler_is_refused_because_its_sessions_hold_no_lock(postgres, database):
    with postgres.pooled() as port:
        pooled = f"postgresql+psycopg://{USER}@127.0.0.1:{port}/{database}"
        with pytest.raises(SettingsError, match=r"connection pooler.*Name the server's own address") as error:
            Warehouse(Settings(database_url=pooled)).create()
    assert error.value.exit_code == EXIT_USAGE
    assert tables_in(postgres, database, "public") == 0


@pytest.mark.parametrize(
    ("setting", "odd", "ours"),
    [
        ("statement_timeout", "1s", "0"), ("idle_in_transaction_session_timeout", "1s", "0"),
        ("idle_session_timeout", "1s", "0"), ("lock_timeout", "1s", "30s"), ("TimeZone", "Asia/Tokyo", "UTC"),
        ("client_encoding", "LATIN1", "UTF8"),
    ],
)  # fmt: skip
def test_what_the_database_sets_for_a_session_is_set_as_the_warehouse_needs_it(postgres, database, setting, odd, ours):
    command(postgres, database, f"""ALTER DATABASE "{database}" SET {setting} = '{odd}'""")
    with opened(postgres.warehouse_url(database)).read() as connection:
        assert connection.exec_driver_sql(f"SHOW {setting}").scalar() == ours


def test_the_addresss_own_options_are_honoured(postgres, database):
    command(postgres, database, "CREATE SCHEMA own")
    opened(f"{postgres.warehouse_url(database)}?options={quote('-c search_path=own')}")
    assert (tables_in(postgres, database, "own"), tables_in(postgres, database, "public")) == (TABLES, 0)


def test_a_password_and_a_host_may_stand_behind_the_question_mark(postgres, database):
    where = f"host=127.0.0.1&port={postgres.port}&user={USER}&password={quote(PASSWORD, safe='')}"
    assert str(opened(f"postgresql+psycopg:///{database}?{where}").store) == f"127.0.0.1/{database}"


def test_a_service_file_leads_there(postgres, database, tmp_path, monkeypatch):
    (tmp_path / "services").write_text(
        f"[city]\nhost=127.0.0.1\nport={postgres.port}\nuser={USER}\npassword={PASSWORD}\ndbname={database}\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    assert str(opened("postgresql+psycopg://?service=city").store) == "service city"


@pytest.mark.parametrize(
    "parts", ["user=nobody&password=hunter2", "user=nobody&passwort=hunter2", "sslpassword=hunter2"]
)
def test_a_refused_address_is_told_in_a_sentence_without_its_secrets(postgres, database, parts):
    with pytest.raises(StorageRefused, match=f"PostgreSQL refused at 127.0.0.1/{database}: ") as error:
        Warehouse(Settings(database_url=f"postgresql+psycopg://127.0.0.1:{postgres.port}/{database}?{parts}")).exists()
    assert "hunter2" not in str(error.value)
    assert error.value.exit_code == EXIT_USAGE
